from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.providers import parameters
from extproc.providers.detect import FLAVOURS
from extproc.providers.parameters import ParameterWords
from extproc.usage import RequestParameters

GEMINI: dict[str, Any] = {
    "maxOutputTokens": 9,
    "temperature": 1,
    "topP": 0.5,
    "topK": 40,
    "frequencyPenalty": 0.1,
    "presencePenalty": -0.1,
    "seed": -5,
    "candidateCount": 2,
    "stopSequences": ["a", "b"],
    "responseMimeType": "application/json",
}
AS_GEMINI = RequestParameters(9, 1.0, 0.5, 40.0, 0.1, -0.1, -5, 2, stop_sequences=("a", "b"), output_type="json")
CONVERSE: dict[str, Any] = {"maxTokens": 9, "temperature": 0.5, "topP": 1, "stopSequences": ["a"]}
AS_CONVERSE = RequestParameters(9, 0.5, 1.0, stop_sequences=("a",))
SAMPLING: dict[str, Any] = {"temperature": 0.5, "top_p": 1, "top_k": 3}


@pytest.mark.parametrize(
    ("words", "document", "expected"),
    [
        (
            parameters.OPENAI,
            {
                **SAMPLING,
                "max_tokens": 1,
                "max_completion_tokens": 9,
                "frequency_penalty": 0.1,
                "presence_penalty": 0.2,
                "seed": 7,
                "n": 2,
                "stop": "a",
                "response_format": {"type": "json_schema"},
            },
            RequestParameters(9, 0.5, 1.0, 3.0, 0.1, 0.2, 7, 2, stop_sequences=("a",), output_type="json"),
        ),
        (
            parameters.OPENAI,  # Mistral
            {"completion_args": {"max_tokens": 9, "random_seed": 7, "response_format": {"type": "text"}}},
            RequestParameters(9, seed=7, output_type="text"),
        ),
        (parameters.OPENAI, {"random_seed": 7, "seed": None}, RequestParameters(seed=7)),
        (
            parameters.OPENAI_EMBEDDINGS,
            {"dimensions": 256, "encoding_format": "base64"},
            RequestParameters(dimension_count=256, encoding_formats=("base64",)),
        ),
        (
            parameters.OPENAI_RESPONSES,
            {"max_output_tokens": 9, "temperature": 0, "text": {"format": {"type": "json_object"}}},
            RequestParameters(9, 0.0, output_type="json"),
        ),
        (parameters.OPENAI_IMAGES, {"n": 3}, RequestParameters(choice_count=3, output_type="image")),
        (parameters.OPENAI_SPEECH, {"response_format": "mp3"}, RequestParameters(output_type="speech")),
        (parameters.OPENAI_TRANSCRIPTIONS, {"temperature": 0.5}, RequestParameters(temperature=0.5)),
        (
            parameters.ANTHROPIC,
            {"max_tokens": 9, "stop_sequences": ["a"], **SAMPLING},
            RequestParameters(9, 0.5, 1.0, 3.0, stop_sequences=("a",)),
        ),
        (parameters.ANTHROPIC, {"max_tokens_to_sample": 9}, RequestParameters(9)),
        (parameters.GEMINI, {"generationConfig": GEMINI}, AS_GEMINI),
        (parameters.GEMINI, {"generation_config": GEMINI}, AS_GEMINI),
        (
            parameters.GEMINI,
            {"generation_config": {"max_output_tokens": 9, "top_p": 0.5, "response_mime_type": "text/plain"}},
            RequestParameters(9, top_p=0.5, output_type="text"),
        ),
        (parameters.GEMINI_EMBEDDINGS, {"outputDimensionality": 64}, RequestParameters(dimension_count=64)),
        (
            parameters.VERTEX_PREDICT,
            {"parameters": GEMINI | {"outputDimensionality": 64}},
            msgspec.structs.replace(AS_GEMINI, dimension_count=64),
        ),
        (parameters.BEDROCK_CONVERSE, {"inferenceConfig": CONVERSE}, AS_CONVERSE),
        (parameters.BEDROCK_INVOKE, {"inferenceConfig": CONVERSE}, AS_CONVERSE),
        (parameters.BEDROCK_INVOKE, {"inferenceConfig": {"max_new_tokens": 9}}, RequestParameters(9)),
        (parameters.BEDROCK_INVOKE, {"textGenerationConfig": CONVERSE}, AS_CONVERSE),
        (parameters.BEDROCK_INVOKE, {"textGenerationConfig": {"maxTokenCount": 9}}, RequestParameters(9)),
        (parameters.BEDROCK_INVOKE, CONVERSE, AS_CONVERSE),
        (parameters.BEDROCK_INVOKE, {"max_gen_len": 9, "top_p": 1}, RequestParameters(9, top_p=1.0)),
        (
            parameters.COHERE,
            {
                "max_tokens": 9,
                "p": 0.5,
                "k": 3,
                "seed": 7,
                "num_generations": 2,
                "output_dimension": 64,
                "embedding_types": ["float", "int8"],
                "stop_sequences": ["a"],
                "response_format": {"type": "json_object"},
            },
            RequestParameters(
                9,
                None,
                0.5,
                3.0,
                seed=7,
                choice_count=2,
                dimension_count=64,
                encoding_formats=("float", "int8"),
                stop_sequences=("a",),
                output_type="json",
            ),
        ),
        (
            parameters.OLLAMA,
            {"options": {"num_predict": 9, "stop": ["a"], **SAMPLING}},
            RequestParameters(9, 0.5, 1.0, 3.0, stop_sequences=("a",)),
        ),
        (parameters.OLLAMA, {"options": {"num_predict": -1}, "dimensions": 64}, RequestParameters(dimension_count=64)),
        (
            parameters.TGI,
            {"parameters": {"max_new_tokens": 9, "stop": ["a"], "seed": 7}},
            RequestParameters(9, seed=7, stop_sequences=("a",)),
        ),
        (
            parameters.WATSONX,
            {"parameters": {"max_new_tokens": 9, "random_seed": 7, "stop_sequences": ["a"]}},
            RequestParameters(9, seed=7, stop_sequences=("a",)),
        ),
        (parameters.ALEPH_ALPHA, {"maximum_tokens": 9, "n": 2}, RequestParameters(9, choice_count=2)),
        (parameters.LLAMA_CPP, {"n_predict": 9, "stop": ["a"]}, RequestParameters(9, stop_sequences=("a",))),
    ],
)  # fmt: skip
def test_each_api_has_its_words(words: ParameterWords, document: dict[str, Any], expected: RequestParameters) -> None:
    """And none of the others'."""
    assert words.read(document) == expected
    assert words.read(dict(reversed(document.items()))) == expected


MALFORMED: dict[str, list[Any]] = {
    "temperature": ["hot", True, [1], {}, float("nan"), float("inf"), 10**400, None],
    "max_tokens": [-1, 0.5, "9", True, 2**53, [9], float("nan")],
    "seed": ["7", 2**63, -(2**63), 0.5, False],
    "stop": ["", [], [1, None, ""], {"a": 1}, 7],
    "encoding_format": ["", "a b", "x" * 33, 7, [], [7], "\u00fcnicode"],
    "response_format": ["json", {"type": 7}, {"type": "xml"}, {"type": None}, {}, [], None],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in MALFORMED.items() for value in values])
def test_what_is_none_says_nothing(name: str, value: object) -> None:
    """It is no error, and no 0 either."""
    assert parameters.OPENAI.read({"model": "m", name: value}) is None


def test_a_zero_is_said() -> None:
    """As a whole number it is one."""
    assert parameters.OPENAI.read({"temperature": 0, "max_tokens": 0.0, "seed": 0.0}) == RequestParameters(
        max_tokens=0, temperature=0.0, seed=0
    )


def test_a_word_that_says_nothing_leaves_its_place_to_another() -> None:
    """In whatever order they stand."""
    said = {"max_completion_tokens": "many", "max_tokens": 9}
    assert parameters.OPENAI.read(said) == parameters.OPENAI.read(dict(reversed(said.items()))) == RequestParameters(9)


def test_few_and_short_stop_sequences_are_kept() -> None:
    """White space is what many are made of; what can't be printed is replaced."""
    given_sequences = ["\n\n", "\x00\ud800", "x" * 300, *(str(number) for number in range(20))]
    told = parameters.OPENAI.read({"stop": given_sequences})
    assert told is not None
    assert told.stop_sequences is not None
    replaced = "\N{REPLACEMENT CHARACTER}"
    assert told.stop_sequences[:3] == ("\n\n", 2 * replaced, "x" * 256)
    assert len(told.stop_sequences) == 16


@given(
    st.sampled_from(parameters.ALL),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(sorted({part for path in parameters.PATHS for part in path.split(".")})),
                inner,
                max_size=4,
            )
        ),
    ),
)
def test_whatever_stands_there_is_well_formed_or_absent(words: ParameterWords, value: Any) -> None:
    """Types that no API takes are read past."""
    document = value if isinstance(value, dict) else {"options": value, "stop": value, "conversation": value}
    told, conversation = words.read(document), words.conversation_of(document)
    assert told is None or msgspec.convert(msgspec.to_builtins(told), RequestParameters, strict=False) is not None
    assert conversation is None or conversation


@pytest.mark.parametrize(
    ("words", "document", "expected"),
    [
        (parameters.OPENAI_RESPONSES, {"conversation": "conv"}, "conv"),
        (parameters.OPENAI_RESPONSES, {"conversation": {"id": "conv"}}, "conv"),
        (parameters.OPENAI_RESPONSES, {"conversation": {"id": 7}}, None),
        (parameters.OPENAI_RESPONSES, {"conversation": ["conv"]}, None),
        (parameters.OPENAI_RESPONSES, {"conversation_id": "conv"}, None),
        (parameters.OPENAI, {"conversation_id": "conv"}, "conv"),
        (parameters.COHERE, {"conversation_id": ""}, None),
        (parameters.ANTHROPIC, {"conversation_id": "conv"}, None),
    ],
)
def test_a_conversation_is_named_where_the_api_has_one(
    words: ParameterWords, document: dict[str, Any], expected: str | None
) -> None:
    """And nowhere else."""
    assert words.conversation_of(document) == expected


def test_every_flavour_has_words_that_are_decoded() -> None:
    """A word that is not in the list of all would never be seen."""
    read = {flavour.read_parameters for flavour in FLAVOURS.values() if flavour.read_parameters is not None}
    assert read <= {words.read for words in parameters.ALL}
