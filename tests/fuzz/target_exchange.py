"""One exchange, its answer cut in any way: whoever watches has to read the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from fuzz.checking import assert_same, ways_to_cut
from fuzz.choices import Choices
from fuzz.json_text import JSON_WORDS
from fuzz.target import Target
from support.codings import ENCODERS
from support.exchanges import Case, load_case, play, uncut

from extproc.readers import Limits
from extproc.usage import UsageRecord, UsageSource

_FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
_MAX_SEED_BYTES = 3000
_PATHS = (
    ("api.openai.com", "/v1/chat/completions"),
    ("api.openai.com", "/v1/responses"),
    ("api.anthropic.com", "/v1/messages"),
    ("generativelanguage.googleapis.com", "/v1beta/models/g:streamGenerateContent"),
    ("bedrock-runtime.us-east-1.amazonaws.com", "/model/m/converse-stream"),
    ("bedrock-runtime.us-east-1.amazonaws.com", "/model/m/invoke-with-response-stream"),
    ("api.cohere.com", "/v2/chat"),
    ("localhost:11434", "/api/chat"),
    ("example.com", "/v1/chat/completions"),
    ("example.com", "/"),
)
_TYPES = ("application/json", "text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream", None)
_CODINGS = (None, None, None, *(coding for coding in ENCODERS if "br" not in coding and "zstd" not in coding))
_LIMITS = (Limits(), Limits(max_body_bytes=512, max_event_bytes=256, max_whole_response_bytes=128))
_STATUSES = (200, 200, 200, 400, 429, 500)


def check(data: bytes) -> None:
    """Cuts change nothing but the times between chunks, and no count is negative."""
    choices = Choices(data)
    authority, path = choices.one_of(_PATHS)
    content_type, coding, limits = choices.one_of(_TYPES), choices.one_of(_CODINGS), choices.one_of(_LIMITS)
    status, places = choices.one_of(_STATUSES), choices.cuts(4)
    body = choices.rest()
    case = Case(path=path, authority=authority, response=body, content_type=content_type, status=status).encoded(coding)
    records = [play(case, chunks, limits=limits) for chunks in ways_to_cut(case.response, places)]
    _check_record(assert_same(map(uncut, records)))


def _check_record(record: UsageRecord) -> None:
    usage = record.usage
    assert (usage is None) is (record.usage_source is UsageSource.NONE)
    assert usage is None or usage.charged_tokens >= 0
    assert record.duration_seconds >= 0


def seeds() -> list[bytes]:
    """Return the answers in tests/fixtures that are small."""
    made = []
    for number, path in enumerate(sorted(_FIXTURES.glob("*/*/case.json"))):
        case = load_case(path.parent)
        if len(case.response) <= _MAX_SEED_BYTES:
            head = (_place_of(case), _type_of(case), number % len(_CODINGS), 0, 0, 9, 80, 150, 240)
            made.append(bytes(head) + case.response)
    long = b'data: {"choices": [{"delta": {"content": "' + b"x" * 300 + b'"}}]}\n\n'
    usage = json.dumps({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}).encode()
    return [*made, bytes((0, 1, 0, 1, 0, 9, 80, 150, 240)) + long + b"data: " + usage + b"\n\n"]


def _place_of(case: Case) -> int:
    return _index([authority for authority, _ in _PATHS], case.authority)


def _type_of(case: Case) -> int:
    return _index(_TYPES, (case.content_type or "").partition(";")[0])


def _index(options: Sequence[str | None], value: str) -> int:
    return options.index(value) if value in options else 0


MODULES = ("extproc.exchange", "extproc.response", "extproc.response_reader", "extproc.readers", "extproc.known",
           "extproc.stopwatch")  # fmt: skip
WORDS = (b"data: ", b"\n\n", b"event: error\n", b"[DONE]", b"\xef\xbb\xbf", *JSON_WORDS)
TARGET = Target("exchange", check, seeds, MODULES, WORDS, is_json=True, max_input_bytes=8192)
