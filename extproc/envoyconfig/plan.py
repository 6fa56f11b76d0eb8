"""What is to be printed: the settings of the sidecar, and what only whoever runs Envoy knows.

Owns: where Envoy reaches the sidecar and how, and what is refused because it could not work. Must not know how Envoy
spells any of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from extproc.config.address import HostPort, UnixSocket, parse_address
from extproc.config.needs import Needs
from extproc.config.settings import Settings
from extproc.envoyconfig.choices import DEFAULT_TRUST_STORE, Mode, TlsFlags
from extproc.envoyconfig.modes import PROCESSING, Processing
from extproc.errors import SettingsError
from extproc.semconv import KEY_HITS_ADDEND
from extproc.upstreams import Upstream


@dataclass(frozen=True, slots=True)
class Tls:
    """How Envoy checks the sidecar's certificate, and the one it shows itself (mTLS). Paths of PEM files."""

    ca_file: str
    server_name: str
    cert_file: str | None = None
    key_file: str | None = None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What is charged to a rate limit service, by a request header, by a claim of a token, or to all together.

    `keys` are those of the charges; with `reserves` some of each is charged with the request. `claim` is the path of a
    claim in the metadata of Envoy's JWT filter. `denies` says that requests fail where the service does.
    """

    service: HostPort
    domain: str = "ai-gateway"
    header: str | None = None
    claim: tuple[str, ...] = ()
    denies: bool = False
    keys: tuple[str, ...] = (KEY_HITS_ADDEND,)
    reserves: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a configuration is built from. `endpoints` are where the sidecar, or each of its workers, is reached."""

    settings: Settings
    needs: Needs
    mode: Mode
    endpoints: tuple[HostPort | UnixSocket, ...]
    tls: Tls | None
    gateway: HostPort
    admin: HostPort
    upstreams: tuple[Upstream, ...]
    trust_store: str = DEFAULT_TRUST_STORE
    rate_limit: RateLimit | None = None
    message_timeout_seconds: float = 2.0
    fail_open: bool = True

    @property
    def processing(self) -> Processing:
        """What the mode asks for."""
        return PROCESSING[self.mode]

    @property
    def namespace(self) -> str:
        """The namespace of dynamic metadata that an access log prints."""
        return self.settings.metadata_namespaces[0]


@dataclass(frozen=True, slots=True)
class Reach:
    """Where and how Envoy reaches the sidecar."""

    endpoints: tuple[HostPort | UnixSocket, ...]
    tls: Tls | None = field(default=None)


def find_reach(settings: Settings, sidecar: str | None, flags: TlsFlags) -> Reach:
    """Return how to reach a sidecar with these settings; `sidecar` is its address where that is not `listen`.

    Raises SettingsError where an address is missing or TLS could not be checked.
    """
    try:
        address = parse_address(sidecar or settings.listen)
    except SettingsError as error:
        raise SettingsError(f"--sidecar: {error}") from None  # what is in settings was checked before
    if isinstance(address, HostPort):
        if address.port == 0:
            raise SettingsError(f"{'--sidecar' if sidecar else 'listen'}: port 0 is no port to connect to; choose one")
        endpoints: tuple[HostPort | UnixSocket, ...] = (address.from_here,)  # workers share a TCP port
    else:
        endpoints = address.of_workers(settings.workers)
    return Reach(endpoints, _find_tls(settings, endpoints[0], flags))


def _find_tls(settings: Settings, endpoint: HostPort | UnixSocket, flags: TlsFlags) -> Tls | None:
    listen_tls = settings.listen_tls
    if listen_tls is None:
        if any((flags.ca_file, flags.server_name, flags.cert_file, flags.key_file)):
            raise SettingsError("--tls-*: the sidecar serves no TLS; set listen_tls, or leave these flags out")
        return None
    if flags.ca_file is None:
        raise SettingsError("listen_tls is set: name the authority of the sidecar's certificate, --tls-ca FILE")
    if (flags.cert_file is None) != (flags.key_file is None):
        raise SettingsError("--tls-cert and --tls-key go together")
    if listen_tls.client_ca_file is not None and flags.cert_file is None:
        raise SettingsError(
            "listen_tls.client_ca_file is set: Envoy has to show a certificate, --tls-cert and --tls-key"
        )
    server_name = flags.server_name or (endpoint.host if isinstance(endpoint, HostPort) else None)
    if server_name is None:
        raise SettingsError("listen_tls on a Unix socket: say whose certificate it is, --tls-name NAME")
    for path in (flags.ca_file, flags.cert_file, flags.key_file):
        if path is not None and not PurePosixPath(path).is_absolute():
            raise SettingsError(f"{path!r} is relative, and Envoy may run elsewhere: use an absolute path")
    return Tls(flags.ca_file, server_name, flags.cert_file, flags.key_file)
