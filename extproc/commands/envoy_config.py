"""`extproc envoy-config`: configuration for Envoy that fits the sidecar's.

Owns: its flags.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from extproc.envoyconfig.choices import Format, Mode, Part, Target


def envoy_config(
    config: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A YAML or JSON file of settings, as for serve; the last of several wins."),
    ] = None,
    listen: Annotated[str | None, typer.Option(metavar="ADDR", help="As for serve [127.0.0.1:18080].")] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="As for serve [1].")] = None,
    target: Annotated[
        Target, typer.Option(metavar="WHAT", help="envoy, envoy-gateway, istio or kgateway.")
    ] = Target.ENVOY,
    mode: Annotated[
        Mode, typer.Option(metavar="MODE", help="How traffic is shown: inspect, zero-body, observe or full-duplex.")
    ] = Mode.INSPECT,
    part: Annotated[
        list[Part] | None,
        typer.Option(
            metavar="PART", help="filter, cluster, access-log, rate-limit or all, in the place of the whole bootstrap."
        ),
    ] = None,
    output_format: Annotated[Format, typer.Option("--format", metavar="FORM", help="yaml or json.")] = Format.YAML,
    sidecar: Annotated[
        str | None, typer.Option(metavar="ADDR", help="Where Envoy reaches the sidecar, if not at its --listen.")
    ] = None,
    upstream: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]URL", help="A provider, at /NAME or the root [OpenAI, Anthropic and Gemini]."),
    ] = None,
    trust_store: Annotated[
        str, typer.Option(metavar="FILE", help="Authorities that providers' certificates are checked by.")
    ] = "/etc/ssl/certs/ca-certificates.crt",
    gateway: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where clients come in.")] = "0.0.0.0:8080",
    envoy_admin: Annotated[str, typer.Option(metavar="HOST:PORT", help="Envoy's admin interface.")] = "127.0.0.1:9901",
    message_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long a request waits for a sidecar that hangs, per message.")
    ] = 2.0,
    fail_closed: Annotated[
        bool, typer.Option("--fail-closed", help="Without the sidecar requests fail, and do not pass unmetered.")
    ] = False,
    tls_ca: Annotated[
        str | None, typer.Option(metavar="FILE", help="With listen_tls: the authority of the sidecar's certificate.")
    ] = None,
    tls_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name in that certificate [the sidecar's host].")
    ] = None,
    tls_cert: Annotated[
        str | None, typer.Option(metavar="FILE", help="With client_ca_file: Envoy's own certificate.")
    ] = None,
    tls_key: Annotated[str | None, typer.Option(metavar="FILE", help="And its key.")] = None,
    rate_limit: Annotated[
        str | None,
        typer.Option(metavar="LIMIT", help="A rate limit service, host:port; for envoy-gateway 100000/hour."),
    ] = None,
    rate_limit_by: Annotated[
        str | None, typer.Option(metavar="HEADER", help="A budget for each value of this header, not one for all.")
    ] = None,
    rate_limit_domain: Annotated[
        str, typer.Option(metavar="NAME", help="The domain in the rate limit service's settings.")
    ] = "ai-gateway",
    name: Annotated[
        str, typer.Option(metavar="NAME", help="On Kubernetes: of the objects, and of the sidecar's Service.")
    ] = "extproc",
    namespace: Annotated[str, typer.Option(metavar="NAME", help="On Kubernetes: where they are.")] = "default",
    attach: Annotated[
        str, typer.Option(metavar="WHAT", help="Gateway/NAME, HTTPRoute/NAME; for istio also LABEL=VALUE of pods.")
    ] = "Gateway/ai-gateway",
) -> None:
    """Print configuration for Envoy that fits the sidecar's settings.

    Namespaces, headers, body modes, sockets, TLS and the access log, as the settings of serve need them. A whole
    bootstrap, parts of it, or objects for a gateway on Kubernetes.
    """
    import os
    import sys

    from extproc.config.loading import load_settings
    from extproc.envoyconfig.plan import TlsFlags
    from extproc.envoyconfig.printing import Wish, print_configuration

    loaded = load_settings({"listen": listen, "workers": workers}, os.environ, config or ())
    for warning in loaded.warnings:
        print(f"extproc: {warning}", file=sys.stderr)
    wish = Wish(
        target=target,
        mode=mode,
        parts=frozenset(part or ()),
        format=output_format,
        upstreams=upstream or (),
        trust_store=trust_store,
        gateway=gateway,
        envoy_admin=envoy_admin,
        sidecar=sidecar,
        tls=TlsFlags(tls_ca, tls_name, tls_cert, tls_key),
        message_timeout_seconds=message_timeout,
        fail_open=not fail_closed,
        rate_limit=rate_limit,
        rate_limit_header=rate_limit_by,
        rate_limit_domain=rate_limit_domain,
        name=name,
        namespace=namespace,
        attach=attach,
    )
    print(print_configuration(loaded.settings, wish), end="")
