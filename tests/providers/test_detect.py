from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from extproc.providers import bedrock_converse, by_shape, cohere, openai_chat
from extproc.providers.base import RequestFacts
from extproc.providers.counts import Counts
from extproc.providers.detect import FLAVOURS, Detector, Rule, Target, read_llm_request

HERE = "gateway.example"
CHAT_PATH = "/v1/chat/completions"


def detect(authority: str, path: str, *rules: Rule) -> Target:
    return Detector(rules).detect(authority, path)


@pytest.mark.parametrize(
    "path", ["/", "", "/v1/files", "/v1/threads/t/messages", "/v1/chat/completions/c1", "/v1/models", "/x/embeddingsy"]
)
def test_other_paths_tell_nothing(path: str) -> None:
    """They are left to the shape of the documents."""
    assert detect(HERE, path) == Target()


def test_the_authority_is_stronger_than_the_path() -> None:
    """Who answers is known better by name than by the API it speaks."""
    assert detect("api.groq.com", "/openai/v1/chat/completions").provider == "groq"


def test_the_query_is_not_looked_at() -> None:
    """It may hold a key, and may look like anything."""
    assert detect(HERE, f"{CHAT_PATH}?key=/v1/messages") == detect(HERE, CHAT_PATH)


@pytest.mark.parametrize(
    ("authority", "flavour"),
    [("api.cohere.com", cohere.LEGACY_CHAT), ("api.writer.com:443", openai_chat.CHAT), (HERE, by_shape.BY_SHAPE)],
)
def test_one_path_of_two_providers_goes_by_the_authority(authority: str, flavour: object) -> None:
    """Where neither is known, the answer tells."""
    assert detect(authority, "/v1/chat").flavour is flavour


def test_what_envoy_says_of_the_provider_decides_between_paths() -> None:
    """Its word stands in the exchange; here it only tells whose path it is."""
    assert Detector().detect(HERE, "/v1/chat", "writer").flavour is openai_chat.CHAT
    assert Detector().detect(HERE, "/v1/chat", "cohere").flavour is cohere.LEGACY_CHAT
    assert Detector().detect(HERE, "/v1/files", "writer") == Target()


def test_what_clients_make_up_is_not_kept() -> None:
    """Long paths and authorities are looked at, and forgotten."""
    detector = Detector()
    assert detector.detect(HERE, "/" + "x" * 5000 + CHAT_PATH).flavour is openai_chat.CHAT
    assert detector.detect("x" * 5000 + ".openai.azure.com", CHAT_PATH).provider == "openai"
    assert detector._remembered.cache_info().currsize == 1  # of the path that is no longer than any


def test_a_rule_stands_above_the_tables() -> None:
    """What it leaves open is detected; the first that fits is the only one."""
    rules = (
        Rule(authority="*.corp.example", path="/legacy/*", is_llm=False),
        Rule(authority="*.corp.example", provider="our_llm"),
        Rule(path="/bedrock/*", flavour="bedrock_converse"),
        Rule(authority="*.corp.example", provider="never"),
    )
    assert detect("LLM.corp.example:8443", CHAT_PATH, *rules) == Target("our_llm", openai_chat.CHAT)
    assert detect("llm.corp.example", "/legacy/v1/chat/completions", *rules) == Target(is_excluded=True)
    assert detect(HERE, "/bedrock/anything", *rules).flavour is bedrock_converse.CONVERSE
    assert detect("api.openai.com", CHAT_PATH, *rules) == detect("api.openai.com", CHAT_PATH)


def test_a_rule_may_name_a_port() -> None:
    """Two servers on one host are two providers."""
    rule = Rule(authority="localhost:8000", provider="vllm")
    assert detect("localhost:8000", CHAT_PATH, rule).provider == "vllm"
    assert detect("localhost:8001", CHAT_PATH, rule).provider == "openai"


def test_a_rules_provider_decides_between_paths() -> None:
    """As one that the authority tells would."""
    assert detect(HERE, "/v1/chat", Rule(provider="cohere")).flavour is cohere.LEGACY_CHAT


def test_every_flavour_has_a_name_of_its_own() -> None:
    """Rules are written with them."""
    assert {name: flavour.name for name, flavour in FLAVOURS.items()} == {name: name for name in FLAVOURS}
    assert FLAVOURS["by_shape"] is by_shape.BY_SHAPE
    assert len(FLAVOURS) > 30


@pytest.mark.parametrize("name", FLAVOURS)
@pytest.mark.parametrize("value", [None, True, 7, "x", [], [[]], [{}], {}, {"type": []}])
def test_types_that_no_api_sends_are_read_past(name: str, value: object) -> None:
    """Wherever they stand, in a document of any flavour, nothing raises."""
    flavour = FLAVOURS[name]
    keys = [
        "type",
        "event_type",
        "object",
        "status",
        "delta",
        "response",
        "message",
        "error",
        "data",
        "results",
        "usage",
    ]
    for key in keys:
        document = {"type": "message-start", "is_finished": False, "choices": value, key: value}
        for facts in (flavour.read_response(document), flavour.read_response({key: document})):
            assert facts.model is None
        assert flavour.read_request({key: value}).model is None


def test_a_question_is_known_by_its_shape() -> None:
    """It names a model and gives it something."""
    assert read_llm_request({"model": "m", "messages": [], "stream": True}) == RequestFacts("m", streaming=True)
    assert read_llm_request({"model": "m", "input": "x"}) == RequestFacts("m")
    others: list[dict[str, object]] = [{"model": "m"}, {"messages": []}, {"model": 7, "input": ""}]
    assert [read_llm_request(document) for document in others] == [None] * 3


class Everywhere(dict[str, object]):
    """An object with the same value under each name that is looked for."""

    def __init__(self, value: object) -> None:
        super().__init__(any=value)
        self._value = value

    def get(self, key: str, default: object = None) -> object:  # noqa: ARG002
        return self._value

    def __missing__(self, key: str) -> object:
        return self._value

    def __contains__(self, key: object) -> bool:
        return True


def strange_documents() -> Iterator[Everywhere]:
    values: list[object] = [None, True, -1, 1.5, "two words", [], {}, [[]]]
    for _ in range(3):
        yield from map(Everywhere, values)
        values = list(itertools.chain.from_iterable((Everywhere(value), [Everywhere(value)]) for value in values))


@pytest.mark.parametrize("name", FLAVOURS)
def test_no_flavour_stumbles_over_a_type_that_no_api_sends(name: str) -> None:
    """In whatever place it stands, up to three levels deep."""
    flavour = FLAVOURS[name]
    for document in strange_documents():
        flavour.read_request(document)
        flavour.read_response(document)
        flavour.count(Counts(document))
