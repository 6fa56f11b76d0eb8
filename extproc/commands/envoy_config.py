"""`extproc envoy-config`: configuration for Envoy that fits the sidecar's.

Owns: its flags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from extproc.envoyconfig.choices import DEFAULT_TRUST_STORE, Format, Mode, Part, Target, TlsFlags, Wish


def _flag(metavar: str, help_: str, *names: str) -> Any:
    return typer.Option(*names, metavar=metavar, help=help_)


_Config: TypeAlias = Annotated[
    list[Path] | None, _flag("FILE", "A YAML or JSON file of settings, as for serve; the last of several wins.")
]
_Listen: TypeAlias = Annotated[str | None, _flag("ADDR", "As for serve [127.0.0.1:18080].")]
_Workers: TypeAlias = Annotated[int | None, _flag("N", "As for serve [1].")]
_Target: TypeAlias = Annotated[Target, _flag("WHAT", "envoy, envoy-gateway, istio or kgateway.")]
_Mode: TypeAlias = Annotated[Mode, _flag("MODE", "How traffic is shown: inspect, zero-body, observe or full-duplex.")]
_Parts: TypeAlias = Annotated[
    list[Part] | None,
    _flag("PART", "filter, cluster, access-log, rate-limit or all, in the place of the whole bootstrap."),
]
_Format: TypeAlias = Annotated[Format, _flag("FORM", "yaml or json.", "--format")]
_Sidecar: TypeAlias = Annotated[str | None, _flag("ADDR", "Where Envoy reaches the sidecar, if not at its --listen.")]
_Upstreams: TypeAlias = Annotated[
    list[str] | None, _flag("[NAME=]URL", "A provider, at /NAME or the root [OpenAI, Anthropic and Gemini].")
]
_TrustStore: TypeAlias = Annotated[str, _flag("FILE", "Authorities that providers' certificates are checked by.")]
_Gateway: TypeAlias = Annotated[str, _flag("HOST:PORT", "Where clients come in.")]
_EnvoyAdmin: TypeAlias = Annotated[str, _flag("HOST:PORT", "Envoy's admin interface.")]
_Timeout: TypeAlias = Annotated[
    float, _flag("SECONDS", "How long a request waits for a sidecar that hangs, per message.")
]
_FailClosed: TypeAlias = Annotated[
    bool, typer.Option("--fail-closed", help="Without the sidecar requests fail, and do not pass unmetered.")
]
_TlsCa: TypeAlias = Annotated[str | None, _flag("FILE", "With listen_tls: the authority of the sidecar's certificate.")]
_TlsName: TypeAlias = Annotated[str | None, _flag("NAME", "The name in that certificate [the sidecar's host].")]
_TlsCert: TypeAlias = Annotated[str | None, _flag("FILE", "With client_ca_file: Envoy's own certificate.")]
_TlsKey: TypeAlias = Annotated[str | None, _flag("FILE", "And its key.")]
_RateLimit: TypeAlias = Annotated[
    str | None,
    _flag("LIMIT", "A rate limit service, host:port; for envoy-gateway 100000/hour, or KEY=100000/hour, with commas."),
]
_RateLimitBy: TypeAlias = Annotated[
    str | None, _flag("HEADER", "A budget for each value of this header, not one for all.")
]
_RateLimitClaim: TypeAlias = Annotated[
    str | None, _flag("PATH", "A budget for each value of a claim, as jwt_authn has it: payload.tenant.")
]
_RateLimitDeny: TypeAlias = Annotated[
    bool, typer.Option("--rate-limit-deny", help="Without the rate limit service requests fail, and do not pass.")
]
_RateLimitDomain: TypeAlias = Annotated[str, _flag("NAME", "The domain in the rate limit service's settings.")]
_Name: TypeAlias = Annotated[str, _flag("NAME", "On Kubernetes: of the objects, and of the sidecar's Service.")]
_Namespace: TypeAlias = Annotated[str, _flag("NAME", "On Kubernetes: where they are.")]
_Attach: TypeAlias = Annotated[str, _flag("WHAT", "Gateway/NAME, HTTPRoute/NAME; for istio also LABEL=VALUE of pods.")]


def envoy_config(
    config: _Config = None,
    listen: _Listen = None,
    workers: _Workers = None,
    target: _Target = Target.ENVOY,
    mode: _Mode = Mode.INSPECT,
    part: _Parts = None,
    output_format: _Format = Format.YAML,
    sidecar: _Sidecar = None,
    upstream: _Upstreams = None,
    trust_store: _TrustStore = DEFAULT_TRUST_STORE,
    gateway: _Gateway = "0.0.0.0:8080",
    envoy_admin: _EnvoyAdmin = "127.0.0.1:9901",
    message_timeout: _Timeout = 2.0,
    fail_closed: _FailClosed = False,
    tls_ca: _TlsCa = None,
    tls_name: _TlsName = None,
    tls_cert: _TlsCert = None,
    tls_key: _TlsKey = None,
    rate_limit: _RateLimit = None,
    rate_limit_by: _RateLimitBy = None,
    rate_limit_claim: _RateLimitClaim = None,
    rate_limit_domain: _RateLimitDomain = "ai-gateway",
    rate_limit_deny: _RateLimitDeny = False,
    name: _Name = "extproc",
    namespace: _Namespace = "default",
    attach: _Attach = "Gateway/ai-gateway",
) -> None:
    """Print configuration for Envoy that fits the settings.

    Namespaces, headers, body modes, sockets, TLS and the access log, as the settings of serve need them. A whole
    bootstrap, parts of it, or objects for a gateway on Kubernetes.
    """
    wish = Wish(
        target=target,
        mode=mode,
        parts=frozenset(part or ()),
        format=output_format,
        sidecar=sidecar,
        upstreams=upstream or (),
        trust_store=trust_store,
        gateway=gateway,
        envoy_admin=envoy_admin,
        message_timeout_seconds=message_timeout,
        fail_open=not fail_closed,
        tls=TlsFlags(tls_ca, tls_name, tls_cert, tls_key),
        rate_limit=rate_limit,
        rate_limit_header=rate_limit_by,
        rate_limit_claim=rate_limit_claim,
        rate_limit_domain=rate_limit_domain,
        rate_limit_denies=rate_limit_deny,
        name=name,
        namespace=namespace,
        attach=attach,
    )
    _print({"listen": listen, "workers": workers}, config or (), wish)


def _print(flags: Mapping[str, Any], files: Sequence[Path], wish: Wish) -> None:
    import os
    import sys

    from extproc.config.loading import load_settings
    from extproc.envoyconfig.printing import print_configuration

    loaded = load_settings(flags, os.environ, files)
    for warning in loaded.warnings:
        print(f"extproc: {warning}", file=sys.stderr)
    print(print_configuration(loaded.settings, wish), end="")
