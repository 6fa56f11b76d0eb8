"""Bounds: how much of anything is read, held and told, and when a process lets traffic pass unread.

Owns: the settings of that name, which are fields of all settings. Each is a member of extproc.errors.Bound, under which
it is counted where traffic meets it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_KIB = 1024
_MIB = 1024 * _KIB
_GIB = 1024 * _MIB


def _read_off(value: Any) -> Any:
    return "off" if value is False else value  # as YAML reads that word without quotes


class BoundSettings(BaseModel):
    """The bounds of one exchange, and of a process. Beyond one of them traffic goes on, and is not read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_body_bytes: int = Field(
        default=4 * _MIB,
        ge=_KIB,
        description="The most that is kept of a JSON body, decompressed, without the numbers and long texts of large "
        "ones. One of which more is left passes unread and is counted.",
    )
    max_event_bytes: int = Field(
        default=4 * _MIB,
        ge=_KIB,
        description="The most that is kept of an event or a line of a stream without the long texts of large ones, and "
        "the largest frame. One of which more is left is lost and counted.",
    )
    max_events_per_message: int = Field(
        default=20_000,
        ge=100,
        description="The most events, lines or frames that one message may bring, however well they were compressed: "
        "each takes time in which nobody else is served.",
    )
    max_decoded_bytes: int = Field(
        default=_GIB,
        ge=64 * _KIB,
        description="The most that is taken off the content coding of one body.",
    )
    max_decoding_ratio: int = Field(
        default=100,
        ge=1,
        description="How many times as long as it was compressed a body may become; the first MiB of a request "
        "and the first 4 MiB of an answer are free.",
    )
    max_json_depth: int = Field(
        default=200,
        ge=16,
        le=900,
        description="How deep arrays and objects may stand in one another in a document that is read.",
    )
    max_json_values: int = Field(
        default=250_000,
        ge=1000,
        description="How many values an answer, or an event of it, may have when numbers and long texts of large ones "
        "are left out: in memory each is dozens of times as long.",
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
        description="The largest ext_proc message that is read; with a BUFFERED body mode it holds a whole body.",
    )
    max_metadata_value_bytes: int = Field(
        default=1024,
        ge=16,
        description="The longest text in dynamic metadata, as UTF-8. What is longer is cut.",
    )
    max_concurrent_streams: int = Field(
        default=2**31 - 1,
        ge=1,
        le=2**31 - 1,  # what HTTP/2 can number
        description="The most exchanges at a time on one connection of Envoy's; it opens another for more.",
    )
    max_streams: int = Field(
        default=20_000,
        ge=1,
        description="The most exchanges at a time in a process. Those beyond pass unread.",
    )
    max_stream_seconds: float = Field(
        default=14_400.0,
        ge=1,
        description="How long an exchange is read. What is known by then is counted, and the rest passes unread.",
    )
    max_memory_bytes: Annotated[
        Annotated[int, Field(ge=128 * _MIB)] | Literal["auto", "off"], BeforeValidator(_read_off)
    ] = Field(
        default="auto",
        description="How much memory a process may take, files aside, before exchanges pass unread; auto: nine tenths "
        "of what its control group may have, shared by the workers.",
    )
    slow_message_seconds: float = Field(
        default=0.2,
        gt=0,
        description="How long a message may take before it is reported. Envoy's message_timeout is 0.2 s by itself.",
    )
