"""An authority of a test's own, and what it has issued for a server, in files that can be exchanged."""

from __future__ import annotations

import json
import ssl
from datetime import datetime
from pathlib import Path

import grpc
import trustme


class ServerFiles:
    """Certificate, key and authority of a server, in files of a folder; with `demands_clients` also those of clients.

    The files are exchanged as Kubernetes does it for a Secret: a link to the folder of all of them is replaced.
    """

    def __init__(self, folder: Path, *, demands_clients: bool = False) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._generation = 0
        self._demands_clients = demands_clients
        self.renew()
        for name in ("tls.crt", "tls.key", "ca.crt"):
            (folder / name).symlink_to(Path("..data") / name)
        self.cert_file, self.key_file, self.client_ca_file = (
            folder / name for name in ("tls.crt", "tls.key", "ca.crt")
        )

    def renew(self, *, clients: trustme.CA | None = None, not_after: datetime | None = None) -> None:
        """Issue all of it anew, by another authority; `clients` is the one whose clients are welcome."""
        self.authority = trustme.CA()
        self.leaf = self.authority.issue_cert("localhost", not_after=not_after)
        self.clients = clients or self.authority
        self.swap(
            b"".join(part.bytes() for part in self.leaf.cert_chain_pems),
            self.leaf.private_key_pem.bytes(),
            self.clients.cert_pem.bytes(),
        )

    def swap(self, certificate: bytes, key: bytes, authorities: bytes) -> None:
        """Put these in the place of what is there, at once."""
        self._generation += 1
        content = self._folder / f"..{self._generation}"
        content.mkdir()
        for name, data in (("tls.crt", certificate), ("tls.key", key), ("ca.crt", authorities)):
            (content / name).write_bytes(data)
        link = self._folder / "..data_tmp"
        link.symlink_to(content.name)
        link.rename(self._folder / "..data")

    @property
    def setting(self) -> dict[str, str]:
        """The setting `listen_tls`."""
        files = {"cert_file": str(self.cert_file), "key_file": str(self.key_file)}
        return files | ({"client_ca_file": str(self.client_ca_file)} if self._demands_clients else {})

    @property
    def environ(self) -> dict[str, str]:
        """The setting as a variable."""
        return {"EXTPROC_LISTEN_TLS": json.dumps(self.setting)}

    @property
    def leaf_der(self) -> bytes:
        """The certificate of the server."""
        return ssl.PEM_cert_to_DER_cert(self.leaf.cert_chain_pems[0].bytes().decode())


def secure_channel(address: str, trusted: trustme.CA, client: trustme.LeafCert | None = None) -> grpc.Channel:
    """Return a channel of its own to a server that is `localhost` to its certificate."""
    pair = (None, None)
    if client is not None:
        pair = (client.private_key_pem.bytes(), client.cert_chain_pems[0].bytes())  # type: ignore[assignment]
    credentials = grpc.ssl_channel_credentials(trusted.cert_pem.bytes(), *pair)
    options = (("grpc.ssl_target_name_override", "localhost"), ("grpc.use_local_subchannel_pool", 1))
    return grpc.secure_channel(address, credentials, options)
