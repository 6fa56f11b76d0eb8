"""The ways Envoy can show traffic to the sidecar.

Owns: what each mode asks of the ext_proc filter, which Envoy it needs, and what is to be said of it. Must not know
targets or settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from extproc.envoyconfig.choices import Mode

HeaderMode: TypeAlias = Literal["DEFAULT", "SEND", "SKIP"]
BodyMode: TypeAlias = Literal["NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED"]


@dataclass(frozen=True, slots=True)
class Processing:
    """The `processing_mode` of a mode, in Envoy's words, and what goes with it.

    `oldest_envoy` is the first release that knows all that is printed. `keeps_metadata` says whether Envoy takes what
    the sidecar writes; `asks_override` whether it may ask for another mode within an exchange.
    """

    request_body: BodyMode
    response_body: BodyMode
    response_header: HeaderMode
    request_trailer: HeaderMode
    oldest_envoy: str
    about: str
    keeps_metadata: bool = True
    asks_override: bool = False


PROCESSING: dict[Mode, Processing] = {
    Mode.INSPECT: Processing(
        "BUFFERED_PARTIAL",
        "STREAMED",
        "SEND",
        "DEFAULT",
        "1.38",
        "The sidecar is shown requests whole and answers chunk by chunk, and reads every API it knows.",
        asks_override=True,
    ),
    Mode.ZERO_BODY: Processing(
        "NONE",
        "NONE",
        "SKIP",
        "DEFAULT",
        "1.40",
        "No body goes to the sidecar: Envoy's AI Protocol Manager, alpha in Envoy 1.40, reads the usage of OpenAI's, "
        "Anthropic's and Gemini's answers. README.md, \"Without bodies\", has what is not seen this way.",
    ),
    Mode.OBSERVE: Processing(
        "STREAMED",
        "STREAMED",
        "SEND",
        "DEFAULT",
        "1.38",
        "Envoy sends copies and waits for nothing: there are metrics and telemetry, but no dynamic metadata. So the "
        "access log has no tokens, and no rate limit can go by them.",
        keeps_metadata=False,
    ),
    Mode.FULL_DUPLEX: Processing(
        "FULL_DUPLEX_STREAMED",
        "FULL_DUPLEX_STREAMED",
        "SEND",
        "SEND",
        "1.38",
        "Every chunk goes through the sidecar and back, in both directions: for Envoys that allow no other mode.",
    ),
}
