"""What each API's documents say: of every flavour, one after the other, in any shape."""

from __future__ import annotations

import json
from typing import Any

from fuzz.choices import Choices
from fuzz.json_text import DOCUMENTS, JSON_WORDS
from fuzz.target import Target
from support.quiet import tokens_in

from extproc.codec.document import REFUSALS, decode_document
from extproc.errors import DecodeError
from extproc.providers.answer import DocumentReader
from extproc.providers.base import Flavour, is_word, quiet_decoder_of
from extproc.providers.counts import MAX_TOKENS, Counts
from extproc.providers.detect import FLAVOURS, Detector
from extproc.providers.shapes import detect_response
from extproc.providers.texts import Prompt, read_prompt
from extproc.question import Question
from extproc.usage import RequestParameters, TokenUsage

_FLAVOURS = tuple(FLAVOURS[name] for name in sorted(FLAVOURS))
_DETECTOR = Detector()
_MAX_CHARACTERS = 256
# Several counts may be added up.
_MAX_SUM = 8 * MAX_TOKENS


def check(data: bytes) -> None:
    """Nothing is raised, counts are counts, names can be shown, and the short way says what the long one does."""
    choices = Choices(data)
    flavour, expected = choices.one_of(_FLAVOURS), choices.one_of((*_FLAVOURS, None))
    reader = DocumentReader(expected, detect_response)
    reader.read_headers({"x-amzn-bedrock-input-token-count": str(choices.number())})
    for line in choices.rest().split(b"\n"):
        try:
            document = decode_document(line)
        except DecodeError:
            reader.lose()
            continue
        quiet = reader.quiet
        is_quiet = quiet is not None and not _quiet_tokens(quiet, line, reader.heard)
        before = (reader.usage, reader.finish_reason, reader.error_type, reader.is_complete, reader.model)
        told = reader.read(document)
        if is_quiet:
            assert not told
            assert before == (reader.usage, reader.finish_reason, reader.error_type, reader.is_complete, reader.model)
        if isinstance(document, dict):
            _check_request(document)
            _check_response(flavour, document, line)
    if reader.usage is not None:
        _check_usage(reader.usage)
    for name in (reader.model, reader.response_id, reader.conversation_id):
        assert name is None or (0 < len(name) <= _MAX_CHARACTERS and name.isprintable())
    for word in (reader.error_type, reader.finish_reason, *reader.finish_reasons):
        assert word is None or word.removeprefix("-").isdigit() or is_word(word)


def _quiet_tokens(quiet: Any, line: bytes, heard: int) -> int:
    """Return what an event has in it that is new, as its shape tells; -1 if that takes a closer look."""
    try:
        return int(quiet_decoder_of(quiet).decode(line).tokens()) & ~heard
    except REFUSALS:
        return -1


def _check_request(document: dict[str, Any]) -> None:
    question = Question(None)
    headers = {":method": "POST", ":authority": "api.openai.com", ":path": "/v1/chat/completions"}
    question.read_headers(headers, _DETECTOR)
    question.read(document)
    prompt = read_prompt(document)
    assert isinstance(prompt, Prompt)
    assert all(isinstance(text, str) for text in (*prompt.texts, *prompt.schemas))


def _check_response(flavour: Flavour, document: dict[str, Any], line: bytes) -> None:
    flavour.read_request(document)
    facts = flavour.read_response(document)
    if facts.usage is not None:
        counts = Counts(facts.usage)
        _check_usage(flavour.count(counts))
    if flavour.read_parameters is not None:
        _check_parameters(flavour.read_parameters(document))
    if flavour.read_conversation is not None:
        assert isinstance(flavour.read_conversation(document), (str, type(None)))
    said = [] if flavour.read_texts is None else list(flavour.read_texts(document))
    if flavour.quiet is None:
        return
    try:
        event = quiet_decoder_of(flavour.quiet).decode(line)
        tokens, short = event.tokens(), event.said()
    except REFUSALS:
        return
    assert tokens == tokens_in(facts)
    assert (facts.usage, facts.finish_reason, facts.error_type, facts.is_last) == (None, None, None, False)
    if short is not None and flavour.read_texts is not None:
        run, text = short
        texts = [(where, each) for where, each in said if isinstance(each, str) and each]
        assert texts == ([(run, text)] if text else [])


def _check_usage(usage: TokenUsage) -> None:
    for name in TokenUsage.__struct_fields__:
        count = getattr(usage, name)
        assert count is None or (type(count) is int and 0 <= count <= _MAX_SUM), name
    assert usage.charged_tokens >= 0
    assert usage.total_tokens is None or usage.total_tokens >= 0


def _check_parameters(parameters: RequestParameters | None) -> None:
    if parameters is None:
        return
    for name in ("max_tokens", "seed", "choice_count", "dimension_count"):
        assert type(getattr(parameters, name)) in (int, type(None)), name
    assert all(isinstance(text, str) for text in parameters.stop_sequences or ())


def seeds() -> list[bytes]:
    """Return each document of the fixtures under several flavours, and some in a row."""
    alone = [bytes((number % len(_FLAVOURS), len(_FLAVOURS), 1)) + text for number, text in enumerate(DOCUMENTS)]
    rows = [
        bytes((number % len(_FLAVOURS), len(_FLAVOURS), 0)) + b"\n".join(DOCUMENTS[number : number + 4])
        for number in range(0, len(DOCUMENTS), 3)
    ]
    empty = [bytes((number, number, 2)) + json.dumps({"usage": {}}).encode() for number in range(len(_FLAVOURS))]
    return [*alone, *rows, *empty]


TARGET = Target("providers", check, seeds, ("extproc.providers.",), JSON_WORDS, is_json=True, max_input_bytes=8192)
