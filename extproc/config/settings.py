"""Every setting of the sidecar, with its type, its default and what it is for.

Owns: the schema, and the order in which sources are asked: flag, environment, file, default. Each field is also an
environment variable, EXTPROC_ and its name; kgateway's LISTEN_ADDR and LOG_LEVEL keep working below those.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from extproc.config.address import parse_address, parse_host_port
from extproc.errors import SettingsError
from extproc.semconv import DEFAULT_NAMESPACES, RATELIMIT_NAMESPACE

ENV_PREFIX = "EXTPROC_"

# Variables of kgateway's ai-extension -> our field.
_KGATEWAY_ENV = {"LISTEN_ADDR": "listen", "LOG_LEVEL": "log_level"}

_KIB = 1024
_MIB = 1024 * _KIB


# How other programs call our levels; LOG_LEVEL is a common name for a variable, and need not have been set for us.
_LOG_LEVELS = {"warn": "warning", "critical": "error", "fatal": "error", "trace": "debug", "notset": "debug"}


def _checked_log_level(text: Any) -> Any:
    return _LOG_LEVELS.get(text.lower(), text.lower()) if isinstance(text, str) else text


def _checked_namespaces(names: tuple[str, ...]) -> tuple[str, ...]:
    if not all(names) or len(set(names)) < len(names) or RATELIMIT_NAMESPACE in names:
        raise SettingsError(f"{', '.join(names)!r}: use names that differ, none of them empty or {RATELIMIT_NAMESPACE}")
    return names


def _checked_address(text: str) -> str:
    return str(parse_address(text))


def _checked_host_port(text: str) -> str:
    return str(parse_host_port(text))


class DetectionRule(BaseModel):
    """What a deployment says of the exchanges whose authority and path fit two globs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    authority: str = Field(default="*", min_length=1, description="A glob of authorities: hosts, or host:port.")
    path: str = Field(default="*", min_length=1, description="A glob of paths, without their query.")
    provider: str | None = Field(default=None, min_length=1, description="Who answers there.")
    flavour: str | None = Field(default=None, description="Which API is spoken there.")
    llm: bool = Field(default=True, description="Whether it is an LLM at all; false lets these exchanges go at once.")

    @model_validator(mode="after")
    def _says_something(self) -> DetectionRule:
        if self.llm and self.provider is None and self.flavour is None:
            raise SettingsError("a rule has to set provider, flavour or llm: false")
        return self


class Settings(BaseModel):
    """The settings of `extproc serve`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: Annotated[str, AfterValidator(_checked_address)] = Field(
        default="127.0.0.1:18080",
        description="Where Envoy reaches the external processor: unix:/path, unix-abstract:name or host:port.",
    )
    admin_listen: Annotated[str, AfterValidator(_checked_host_port)] = Field(
        default="0.0.0.0:9092",
        description="Where /metrics, /livez and /readyz are served: host:port.",
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
    metadata_namespaces: Annotated[tuple[str, ...], AfterValidator(_checked_namespaces)] = Field(
        default=DEFAULT_NAMESPACES,
        min_length=1,
        description="Namespaces of dynamic metadata to write. Envoy keeps those its receiving_namespaces list.",
    )
    detection_rules: tuple[DetectionRule, ...] = Field(
        default=(),
        description="Which exchanges are whose, above what is known by itself; the first rule that fits stands.",
    )
    max_body_bytes: int = Field(
        default=16 * _MIB,
        ge=_KIB,
        description="The most that is kept of a JSON body, decompressed, without the numbers and long texts of large "
        "ones. One of which more is left passes unread and is counted.",
    )
    max_event_bytes: int = Field(
        default=16 * _MIB,
        ge=_KIB,
        description="The largest event, line or frame of a stream that is read. A larger one is lost and counted.",
    )
    max_whole_response_bytes: int = Field(
        default=32 * _KIB,
        ge=0,
        description="Responses of known length up to this are asked for in one message; 0 asks for none. "
        "It must not be more than Envoy's per_connection_buffer_limit_bytes.",
    )
    max_message_bytes: int = Field(
        default=64 * _MIB,
        ge=64 * _KIB,
        le=2**31 - 1,  # gRPC's own bound
        description="The largest ext_proc message that is accepted; with a BUFFERED body mode it holds a whole body.",
    )
    max_concurrent_streams: int = Field(
        default=2**31 - 1,
        ge=1,
        le=2**31 - 1,  # what HTTP/2 can number
        description="The most exchanges at a time on one connection of Envoy's; it opens another for more.",
    )
    max_label_values: int = Field(
        default=200,
        ge=1,
        description="Pairs of llm and model that metrics tell apart. The model of what comes after them is 'other'.",
    )


def load_settings(flags: Mapping[str, Any], environ: Mapping[str, str], config_file: Path | None = None) -> Settings:
    """Return the settings from flags (None: not given), environment and file.

    Raises SettingsError, with one line for each setting that can't work.
    """
    values, sources = _read_file(config_file), {}
    for name in values:
        sources[name] = f"{name} in {config_file}"
    for name, variable, value in _environment(environ):
        values[name], sources[name] = value, variable
    for name, value in flags.items():
        if value is not None:
            values[name], sources[name] = value, f"--{name.replace('_', '-')}"
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        # One line a setting: what pydantic finds after its first problem is often a consequence of it.
        problems = {str(problem["loc"][0]): problem for problem in reversed(error.errors())}
        raise SettingsError("\n".join(_line(problem, sources) for problem in problems.values())) from None


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the variables that look like ours and are none: misspelt, or of another version."""
    known = {ENV_PREFIX + name.upper() for name in Settings.model_fields}
    return sorted(name for name in environ if name.startswith(ENV_PREFIX) and name not in known)


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment that tells a sidecar nothing: it has its defaults, and what flags say."""
    return {
        name: value for name, value in environ.items() if not name.startswith(ENV_PREFIX) and name not in _KGATEWAY_ENV
    }


def _read_file(config_file: Path | None) -> dict[str, Any]:
    if config_file is None:
        return {}
    import yaml  # noqa: PLC0415 - only who has a file pays for the parser

    try:
        document = yaml.safe_load(config_file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"--config: cannot read {config_file}: {reason}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # The last two are how the parser says that a date or a number is none, and that it is nested too deep.
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise SettingsError(f"--config: {config_file}{where} is not YAML or JSON") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise SettingsError(f"--config: {config_file} must be a mapping of settings to values")
    return {str(name): value for name, value in document.items()}


def _environment(environ: Mapping[str, str]) -> list[tuple[str, str, Any]]:
    """Return (field, variable, value) of each setting in the environment, the strongest last."""
    found: list[tuple[str, str, Any]] = []
    for variable, name in _KGATEWAY_ENV.items():
        if environ.get(variable):
            found.append((name, variable, environ[variable]))
    for name, field in Settings.model_fields.items():
        variable = ENV_PREFIX + name.upper()
        if environ.get(variable):
            found.append((name, variable, _from_text(field.annotation, variable, environ[variable])))
    return found


def _from_text(annotation: Any, variable: str, text: str) -> Any:
    """Return the value a variable says: names with commas between them, rules as JSON, anything else as it is."""
    if annotation == tuple[str, ...]:
        return [part.strip() for part in text.split(",")]
    if annotation != tuple[DetectionRule, ...]:
        return text
    try:
        return json.loads(text)
    except ValueError:
        raise SettingsError(f"{variable}: a list of rules in JSON is expected") from None


def _line(problem: Any, sources: Mapping[str, str]) -> str:
    """Return one line on a setting that can't work: where it was set, what it is, what is allowed."""
    name, *inner = problem["loc"]
    source = sources.get(name, name) + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in inner)
    if problem["type"] == "extra_forbidden":
        allowed = DetectionRule.model_fields if inner else Settings.model_fields
        return f"{source}: no such setting; there are {', '.join(allowed)}"
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, SettingsError):
        return f"{source}: {cause}"
    message = problem["msg"][:1].lower() + problem["msg"][1:]
    return f"{source}: {message}, not {problem['input']!r}"
