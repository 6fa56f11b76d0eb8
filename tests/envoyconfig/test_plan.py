from __future__ import annotations

import pytest
from support.plans import LISTEN_TLS, MTLS, plan_for

from extproc.config.address import HostPort, UnixSocket
from extproc.config.settings import Settings
from extproc.envoyconfig.choices import TlsFlags
from extproc.envoyconfig.plan import Tls, find_reach
from extproc.errors import SettingsError


@pytest.mark.parametrize(
    ("settings", "sidecar", "endpoints"),
    [
        ({}, None, (HostPort("127.0.0.1", 18080),)),
        ({"listen": "0.0.0.0:1"}, None, (HostPort("127.0.0.1", 1),)),
        ({"listen": "[::]:1"}, None, (HostPort("::1", 1),)),
        ({"listen": "10.0.0.5:1", "workers": 3}, None, (HostPort("10.0.0.5", 1),)),
        ({"listen": "127.0.0.1:0"}, "extproc.ai:1", (HostPort("extproc.ai", 1),)),
        ({"listen": "unix:/run/x.sock"}, None, (UnixSocket("/run/x.sock"),)),
        (
            {"listen": "unix:/run/x.sock", "workers": 2},
            None,
            (UnixSocket("/run/x-0.sock"), UnixSocket("/run/x-1.sock")),
        ),
        (
            {"listen": "unix-abstract:x", "workers": 2},
            None,
            (UnixSocket("x-0", is_abstract=True), UnixSocket("x-1", is_abstract=True)),
        ),
        ({"listen": "unix:/a.sock", "workers": 2}, "unix:/b.sock", (UnixSocket("/b-0.sock"), UnixSocket("/b-1.sock"))),
    ],
)
def test_envoy_reaches_what_listens(
    settings: dict[str, object], sidecar: str | None, endpoints: tuple[HostPort | UnixSocket, ...]
) -> None:
    """Each worker at its socket; a port is one for all."""
    assert find_reach(Settings.model_validate(settings), sidecar, TlsFlags()).endpoints == endpoints


FLAGS = TlsFlags("/ca.pem", "sidecar.test")
OWN = TlsFlags("/ca.pem", "sidecar.test", "/own.pem", "/own.key")


@pytest.mark.parametrize(
    ("listen_tls", "flags", "tls"),
    [
        (LISTEN_TLS, FLAGS, Tls("/ca.pem", "sidecar.test")),
        (LISTEN_TLS, TlsFlags("/ca.pem"), Tls("/ca.pem", "127.0.0.1")),
        (LISTEN_TLS, OWN, Tls("/ca.pem", "sidecar.test", "/own.pem", "/own.key")),
        (MTLS, OWN, Tls("/ca.pem", "sidecar.test", "/own.pem", "/own.key")),
    ],
)
def test_tls_is_spoken_where_the_sidecar_does(listen_tls: dict[str, str], flags: TlsFlags, tls: Tls) -> None:
    """With a certificate of Envoy's own where there is one."""
    assert plan_for({"listen_tls": listen_tls}, tls=flags).tls == tls


@pytest.mark.parametrize(
    ("settings", "sidecar", "flags", "said"),
    [
        ({"listen": "127.0.0.1:0"}, None, TlsFlags(), "listen: port 0 is no port to connect to"),
        ({}, "x:0", TlsFlags(), "--sidecar: port 0"),
        ({}, "nowhere", TlsFlags(), "'nowhere' is no address"),
        ({}, None, FLAGS, "the sidecar serves no TLS"),
        (
            {"listen_tls": LISTEN_TLS},
            None,
            TlsFlags(),
            "name the authority of the sidecar's certificate, --tls-ca FILE",
        ),
        (
            {"listen_tls": LISTEN_TLS},
            None,
            TlsFlags("/ca.pem", None, "/own.pem"),
            "--tls-cert and --tls-key go together",
        ),
        ({"listen_tls": MTLS}, None, FLAGS, "Envoy has to show a certificate"),
        ({"listen_tls": LISTEN_TLS, "listen": "unix:/x"}, None, TlsFlags("/ca.pem"), "--tls-name NAME"),
        ({"listen_tls": LISTEN_TLS}, None, TlsFlags("ca.pem"), "'ca.pem' is relative"),
    ],
)
def test_what_could_not_work_is_refused(
    settings: dict[str, object], sidecar: str | None, flags: TlsFlags, said: str
) -> None:
    """With the flag that mends it."""
    with pytest.raises(SettingsError, match=said):
        find_reach(Settings.model_validate(settings), sidecar, flags)


def test_the_access_log_prints_the_first_namespace() -> None:
    """All have the same in them."""
    assert plan_for({"metadata_namespaces": ["mine", "other"]}).namespace == "mine"
