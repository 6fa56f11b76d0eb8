"""Every setting of the sidecar, with its type, its default and what it is for.

Owns: the schema, and the names of the variables that say something of it: each field is one, EXTPROC_ and its name, and
kgateway's LISTEN_ADDR and LOG_LEVEL and OpenTelemetry's OTEL_* keep working below those. Who asks which source for what
is the business of config/loading.py; telemetry is described in config/telemetry.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from extproc.config.address import checked_host_port, parse_address
from extproc.config.bounds import BoundSettings
from extproc.config.budgets import BudgetSettings
from extproc.config.labels import DEFAULT_MAX_LABEL_VALUES, LabelsSettings
from extproc.config.prices import PriceSettings
from extproc.config.problems import nearest
from extproc.config.rate_limit import RateLimitSettings
from extproc.config.telemetry import Telemetry
from extproc.config.usage import UsageSettings
from extproc.errors import SettingsError
from extproc.semconv import DEFAULT_NAMESPACES, RATELIMIT_NAMESPACE

ENV_PREFIX = "EXTPROC_"

# Variables of kgateway's ai-extension -> our field.
KGATEWAY_ENV = {"LISTEN_ADDR": "listen", "LOG_LEVEL": "log_level"}

# What variables of OpenTelemetry's start with, and TrueFoundry's.
TELEMETRY_ENV_PREFIXES = ("OTEL_", "ENABLE_OTEL_", "LLM_GATEWAY_")

# As chmod has it, without the bits that say nothing of a socket. In YAML it needs quotes: 0660 is a number there.
_SOCKET_MODE = re.compile(r"0?[0-7]{3}", re.ASCII)

# For editors; what is said of an address is the business of config/address.py.
_HOST_PORT_PATTERN = r"(\[[0-9A-Fa-f:.]+(%\w+)?\]|[A-Za-z0-9._-]+):[0-9]{1,5}"
_ADDRESS_PATTERN = rf"unix:(//)?/.+|unix-abstract:.+|{_HOST_PORT_PATTERN}"

# How other programs call our levels; LOG_LEVEL is a common name for a variable, and need not have been set for us.
_LOG_LEVELS = {"warn": "warning", "critical": "error", "fatal": "error", "trace": "debug", "notset": "debug"}


def _checked_log_level(text: Any) -> Any:
    return _LOG_LEVELS.get(text.lower(), text.lower()) if isinstance(text, str) else text


def _checked_namespaces(names: tuple[str, ...]) -> tuple[str, ...]:
    if not all(names) or len(set(names)) < len(names) or RATELIMIT_NAMESPACE in names:
        raise SettingsError(f"{', '.join(names)!r}: use names that differ, none of them empty or {RATELIMIT_NAMESPACE}")
    return names


def _checked_socket_mode(text: Any) -> Any:
    if not isinstance(text, str):
        raise SettingsError("write a mode in quotes, such as '0660': without them YAML takes it for a number")
    if not _SOCKET_MODE.fullmatch(text):
        raise SettingsError(f"{text!r} is no mode: use three octal digits, such as '0660'")
    return text


def _checked_usage_log(text: str) -> str:
    if text != "stdout" and not text.startswith("/"):
        raise SettingsError(f"{text!r} is no place for a log: use stdout or an absolute path")
    return text


def _checked_flavour(name: str) -> str:
    from extproc.providers.detect import FLAVOURS  # noqa: PLC0415 - who has no such rule need not load it here

    if name not in FLAVOURS:
        raise SettingsError(f"{name!r} is no flavour; {nearest(name, FLAVOURS)}")
    return name


def _with_flavours(schema: dict[str, Any]) -> None:
    from extproc.providers.detect import FLAVOURS  # noqa: PLC0415 - as above

    schema["enum"] = list(FLAVOURS)


def _checked_address(text: str) -> str:
    return str(parse_address(text))


class DetectionRule(BaseModel):
    """What a deployment says of the exchanges whose authority and path fit two globs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    authority: str = Field(default="*", min_length=1, description="A glob of authorities: hosts, or host:port.")
    path: str = Field(default="*", min_length=1, description="A glob of paths, without their query.")
    provider: str | None = Field(default=None, min_length=1, description="Who answers there.")
    flavour: Annotated[str, AfterValidator(_checked_flavour), Field(json_schema_extra=_with_flavours)] | None = Field(
        default=None, description="Which API is spoken there: docs/providers.md has their names."
    )
    llm: bool = Field(default=True, description="Whether it is an LLM at all; false lets these exchanges go at once.")

    @model_validator(mode="after")
    def _says_something(self) -> DetectionRule:
        if self.llm and self.provider is None and self.flavour is None:
            raise SettingsError("a rule has to set provider, flavour or llm: false")
        return self


class ListenTls(BaseModel):
    """Certificates of the ext_proc port, in PEM files. They are read again when they change, without a restart."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cert_file: str = Field(min_length=1, description="The certificate, and behind it those between it and its root.")
    key_file: str = Field(min_length=1, description="The key of the certificate, without a password.")
    client_ca_file: str | None = Field(
        default=None,
        min_length=1,
        description="Authorities of clients. With it a client has to present a certificate of theirs (mTLS).",
    )


class ProcessSettings(BaseModel):
    """How a process serves, and whose exchanges are whose."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: Annotated[str, AfterValidator(_checked_address)] = Field(
        default="127.0.0.1:18080",
        description="Where Envoy reaches the external processor: unix:/path, unix-abstract:name or host:port.",
        examples=["unix:/run/extproc/extproc.sock", "unix-abstract:extproc", "127.0.0.1:18080"],
        json_schema_extra={"pattern": f"^({_ADDRESS_PATTERN})$"},
    )
    admin_listen: Annotated[str, AfterValidator(checked_host_port)] = Field(
        default="0.0.0.0:9092",
        description="Where /metrics, /livez, /readyz, /status and the page are served: host:port.",
        examples=["127.0.0.1:9092", "[::]:9092"],
        json_schema_extra={"pattern": f"^{_HOST_PORT_PATTERN}$"},
    )
    drain_seconds: float = Field(
        default=20.0,
        ge=0,
        le=3600,
        description="After SIGTERM, how long running streams may take to finish.",
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_checked_log_level)] = Field(
        default="info", description="The least severe log lines to write."
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=128,
        description="How many processes serve, each on a core. With more than one, unix:/x.sock is unix:/x-0.sock, "
        "unix:/x-1.sock and so on, and a TCP port is shared.",
    )
    engine: Literal["auto", "completion_queue", "aio"] = Field(
        default="auto",
        description="What carries the messages: gRPC's completion queue, which is the fastest, or grpc.aio, which only "
        "uses gRPC's public API. auto takes the first where this installation has it, and says so where not.",
    )
    listen_tls: ListenTls | None = Field(
        default=None, description="Serve the ext_proc port over TLS. In the environment as JSON."
    )
    allow_plaintext: bool = Field(
        default=False,
        description="Serve the ext_proc port, or that of budgets, without TLS on an address that other machines can "
        "reach. Whoever reaches it can be counted as anybody; without this it is refused.",
    )
    socket_mode: Annotated[str, BeforeValidator(_checked_socket_mode)] | None = Field(
        default=None,
        description="Permissions of the Unix socket in octal digits, such as '0660'; as the umask has it if not given.",
        examples=["0660"],
        json_schema_extra={"pattern": "^0?[0-7]{3}$"},
    )
    drain_delay_seconds: float = Field(
        default=0.0,
        ge=0,
        le=3600,
        description="After SIGTERM, how long new streams are still taken while health checks say that it goes.",
    )
    config_poll_seconds: float = Field(
        default=2.0,
        ge=0,
        le=3600,
        description="How often the files of settings are looked at for changes; 0: only on SIGHUP.",
    )
    log_format: Literal["auto", "text", "json"] = Field(
        default="auto", description="How log lines look. auto: text on a terminal, JSON elsewhere."
    )
    usage_log: Annotated[str, AfterValidator(_checked_usage_log)] | None = Field(
        default=None,
        description="Where each exchange gets a line of JSON with what is in its metadata: stdout or an absolute path.",
        examples=["stdout", "/var/log/extproc/usage.jsonl"],
        json_schema_extra={"pattern": "^(stdout|/.*)$"},
    )
    page: bool = Field(
        default=True,
        description="Whether browsers get a page at / of the admin port: the last minutes, and what is to be mended.",
    )
    metadata_namespaces: Annotated[tuple[str, ...], AfterValidator(_checked_namespaces)] = Field(
        default=DEFAULT_NAMESPACES,
        min_length=1,
        description="Namespaces of dynamic metadata to write. Envoy keeps those its receiving_namespaces list.",
        json_schema_extra={"uniqueItems": True},
    )
    detection_rules: tuple[DetectionRule, ...] = Field(
        default=(),
        description="Which exchanges are whose, above what is known by itself; the first rule that fits stands.",
    )


class Settings(BoundSettings, ProcessSettings):
    """The settings of `extproc serve`."""

    max_label_values: int = Field(
        default=DEFAULT_MAX_LABEL_VALUES,
        ge=1,
        description="How many values of a label metrics tell apart, and how many combinations of labels; the rest are "
        "'other'.",
    )
    labels: LabelsSettings = Field(
        default=LabelsSettings(),
        description="What labels of metrics show of values that come with traffic. In the environment as JSON.",
    )
    usage: UsageSettings = Field(
        default=UsageSettings(),
        description="What is done about usage that providers do not report by themselves. In the environment as JSON.",
    )
    prices: PriceSettings = Field(
        default=PriceSettings(), description="What exchanges cost. In the environment as JSON."
    )
    rate_limit: RateLimitSettings = Field(
        default=RateLimitSettings(), description="What rate limits are charged with. In the environment as JSON."
    )
    budgets: BudgetSettings | None = Field(
        default=None,
        description="Budgets that this sidecar itself holds clients to, as Envoy's rate-limit service. In the "
        "environment as JSON.",
    )
    telemetry: Telemetry | None = Field(
        default=None,
        description="Traces and metrics for OpenTelemetry and Prometheus. In the environment as JSON.",
    )

    @property
    def may_be_reached(self) -> bool:
        """Whether the ext_proc port may be where other machines reach it."""
        return self.listen_tls is not None or self.allow_plaintext


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the variables that look like ours and are none: misspelt, or of another version."""
    known = {ENV_PREFIX + name.upper() for name in Settings.model_fields}
    return sorted(name for name in environ if name.startswith(ENV_PREFIX) and name not in known)


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment that tells a sidecar nothing: it has its defaults, and what flags say."""
    prefixes = (ENV_PREFIX, *TELEMETRY_ENV_PREFIXES)
    return {
        name: value for name, value in environ.items() if not name.startswith(prefixes) and name not in KGATEWAY_ENV
    }
