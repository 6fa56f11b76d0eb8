"""What a request asks of the model besides its prompt, in the words of each API.

Owns: which member of a request stands for which parameter, and what is none: a value of the wrong type or out of any
range says nothing, and is no error. A word is a path of names, parted by dots. Must not know answers, bytes or time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from extproc.providers.counts import MAX_TOKENS, JSONObject, to_count
from extproc.usage import RequestParameters

# No API takes more; and no longer ones are worth telling.
MAX_STOP_SEQUENCES = 16
MAX_STOP_SEQUENCE_CHARACTERS = 256

# Of encodings an API has a handful, with short names.
_MAX_ENCODINGS = 8
_MAX_ENCODING_CHARACTERS = 32

# Seeds are 64 bits, with a sign or without one; OpenTelemetry's attributes are the former.
_MAX_SEED = 2**63 - 1

# Sequences are often made of these.
_WHITE_SPACE = frozenset("\n\r\t")

_OUTPUT_TYPES: Final = {
    "text": "text",
    "text/plain": "text",
    "json": "json",
    "json_object": "json",
    "json_schema": "json",
    "application/json": "json",
}


# The field that one member stands for, how it is read, and whether another word for the same stands above it.
_Word: TypeAlias = tuple[str, Callable[[Any], Any], bool]


class _Words(NamedTuple):
    """The words of one object of a request, and of those in it, by their names."""

    words: dict[str, _Word]
    inside: dict[str, _Words]


class ParameterWords:
    """The words of one API: the path of a member -> the field of RequestParameters; of several the first stands.

    `conversation` are the paths that name the conversation a request belongs to; `output_type` is what is asked for by
    asking this API at all.
    """

    def __init__(
        self, words: Mapping[str, str], *, conversation: tuple[str, ...] = (), output_type: str | None = None
    ) -> None:
        self.paths = (*words, *conversation)
        self._conversation = tuple(tuple(path.split(".")) for path in conversation)
        self._always = {"output_type": output_type} if output_type else {}
        self._words = _Words({}, {})
        seen: set[str] = set()
        for path, field in words.items():
            *objects, name = path.split(".")
            place = self._words
            for inner in objects:
                place = place.inside.setdefault(inner, _Words({}, {}))
            place.words[name] = (field, _READERS[field], field in seen)
            seen.add(field)

    def read(self, document: JSONObject) -> RequestParameters | None:
        """Return the parameters in a request document; None if it says none."""
        found: dict[str, Any] = dict(self._always)
        _read(document, self._words, found)
        return RequestParameters(**found) if found else None

    def conversation_of(self, document: JSONObject) -> str | None:
        """Return what a request calls the conversation it belongs to, as it came."""
        for path in self._conversation:
            value: Any = document
            for name in path:
                value = value.get(name) if isinstance(value, dict) else None
            if isinstance(value, str) and value:
                return value
        return None


def _read(document: JSONObject, words: _Words, found: dict[str, Any]) -> None:
    """Add what the members of an object say. A document has few that are told, and an API many words."""
    named, inside = words
    for name, value in document.items():
        if name in named:
            field, read, yields = named[name]
            if not (yields and field in found) and (said := read(value)) is not None:
                found[field] = said
        elif name in inside and isinstance(value, dict):
            _read(value, inside[name], found)


def _number(value: Any) -> float | None:
    """Return a number as a float; None for a boolean, for what is no number, and for one beyond any range."""
    if type(value) is int and -MAX_TOKENS <= value <= MAX_TOKENS:
        return float(value)
    return value if type(value) is float and math.isfinite(value) else None


def _seed(value: Any) -> int | None:
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and -_MAX_SEED <= value <= _MAX_SEED else None


def _sequences(value: Any) -> tuple[str, ...] | None:
    """Return the first of the sequences, each cut and made printable; white space is what many of them are."""
    given = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    texts = [text for text in given[:MAX_STOP_SEQUENCES] if isinstance(text, str) and text]
    return tuple(map(_printable, texts)) or None


def _printable(text: str) -> str:
    text = text[:MAX_STOP_SEQUENCE_CHARACTERS]
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in _WHITE_SPACE else "\N{REPLACEMENT CHARACTER}" for each in text)


def _encodings(value: Any) -> tuple[str, ...] | None:
    given = value if isinstance(value, list) else [value]
    return tuple(each for each in given[:_MAX_ENCODINGS] if isinstance(each, str) and _is_encoding(each)) or None


def _is_encoding(value: str) -> bool:
    return len(value) <= _MAX_ENCODING_CHARACTERS and value.isascii() and value.replace("_", "").isalnum()


def _output_type(value: Any) -> str | None:
    return _OUTPUT_TYPES.get(value) if isinstance(value, str) else None


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "max_tokens": to_count,
    "temperature": _number,
    "top_p": _number,
    "top_k": _number,
    "frequency_penalty": _number,
    "presence_penalty": _number,
    "seed": _seed,
    "choice_count": to_count,
    "dimension_count": to_count,
    "encoding_formats": _encodings,
    "stop_sequences": _sequences,
    "output_type": _output_type,
}


def _inside(place: str, words: Mapping[str, str]) -> dict[str, str]:
    return {f"{place}.{word}": field for word, field in words.items()}


_TEMPERATURE = {"temperature": "temperature"}
_PENALTIES = {"frequency_penalty": "frequency_penalty", "presence_penalty": "presence_penalty"}
_SAMPLING = _TEMPERATURE | {"top_p": "top_p", "top_k": "top_k"}
_STOP = {"stop": "stop_sequences"}
_STOP_SEQUENCES = {"stop_sequences": "stop_sequences"}
_SEED = {"seed": "seed", "random_seed": "seed"}  # the second is Mistral's and IBM's

# https://platform.openai.com/docs/api-reference/chat/create, and what compatible servers add to it.
_OPENAI = _SAMPLING | _PENALTIES | _SEED | _STOP | {"max_tokens": "max_tokens", "response_format.type": "output_type"}
OPENAI: Final = ParameterWords(
    {"max_completion_tokens": "max_tokens"}
    | _OPENAI
    | {"n": "choice_count", "dimensions": "dimension_count", "encoding_format": "encoding_formats"}
    # Mistral's conversations: https://docs.mistral.ai/api/#tag/beta.conversations
    | _inside("completion_args", _OPENAI),
    conversation=("conversation_id",),
)
# https://platform.openai.com/docs/api-reference/embeddings/create, and Mistral's and Voyage's words for the same.
OPENAI_EMBEDDINGS: Final = ParameterWords(
    {
        "dimensions": "dimension_count",
        "output_dimension": "dimension_count",
        "encoding_format": "encoding_formats",
    }
)
# https://platform.openai.com/docs/api-reference/responses/create
OPENAI_RESPONSES: Final = ParameterWords(
    {"max_output_tokens": "max_tokens", "text.format.type": "output_type"} | _SAMPLING | _PENALTIES | _SEED,
    conversation=("conversation", "conversation.id"),
)
# https://platform.openai.com/docs/api-reference/images/create and .../audio
OPENAI_IMAGES: Final = ParameterWords({"n": "choice_count"} | _SEED, output_type="image")
OPENAI_SPEECH: Final = ParameterWords({}, output_type="speech")
OPENAI_TRANSCRIPTIONS: Final = ParameterWords(_TEMPERATURE)

# https://docs.anthropic.com/en/api/messages and .../complete
ANTHROPIC: Final = ParameterWords(
    {"max_tokens": "max_tokens", "max_tokens_to_sample": "max_tokens"} | _SAMPLING | _STOP_SEQUENCES
)

# https://ai.google.dev/api/generate-content#generationconfig; either spelling is taken by the API.
_GEMINI = {
    "maxOutputTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "frequencyPenalty": "frequency_penalty",
    "presencePenalty": "presence_penalty",
    "seed": "seed",
    "candidateCount": "choice_count",
    "stopSequences": "stop_sequences",
    "responseMimeType": "output_type",
    "max_output_tokens": "max_tokens",
    "top_p": "top_p",
    "top_k": "top_k",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "candidate_count": "choice_count",
    "stop_sequences": "stop_sequences",
    "response_mime_type": "output_type",
}
GEMINI: Final = ParameterWords(_inside("generationConfig", _GEMINI) | _inside("generation_config", _GEMINI))
GEMINI_EMBEDDINGS: Final = ParameterWords(
    {"outputDimensionality": "dimension_count", "output_dimensionality": "dimension_count"}
)
# https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api
VERTEX_PREDICT: Final = ParameterWords(
    _inside("parameters", _GEMINI | {"outputDimensionality": "dimension_count"}),
)

# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InferenceConfiguration.html
_CONVERSE = {
    "maxTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "stopSequences": "stop_sequences",
}
BEDROCK_CONVERSE: Final = ParameterWords(_inside("inferenceConfig", _CONVERSE))
# What the vendors' models take through InvokeModel: Claude, Cohere, Mistral; Llama; AI21; Titan; Nova.
# https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
BEDROCK_INVOKE: Final = ParameterWords(
    _SAMPLING
    | {"p": "top_p", "k": "top_k", "max_tokens": "max_tokens", "max_tokens_to_sample": "max_tokens"}
    | _STOP
    | _STOP_SEQUENCES
    | {"max_gen_len": "max_tokens"}
    | _CONVERSE
    | {"dimensions": "dimension_count"}
    | _inside("textGenerationConfig", {"maxTokenCount": "max_tokens"} | _CONVERSE)
    | _inside("inferenceConfig", {"max_new_tokens": "max_tokens"} | _CONVERSE)
)

# https://docs.cohere.com/reference/chat, .../reference/chat-v1, .../reference/generate and .../reference/embed
COHERE: Final = ParameterWords(
    {
        "max_tokens": "max_tokens",
        "p": "top_p",
        "k": "top_k",
        "num_generations": "choice_count",
        "output_dimension": "dimension_count",
        "embedding_types": "encoding_formats",
        "response_format.type": "output_type",
    }
    | _TEMPERATURE
    | _PENALTIES
    | _SEED
    | _STOP_SEQUENCES,
    conversation=("conversation_id",),
)

# https://github.com/ollama/ollama/blob/main/docs/modelfile.md#valid-parameters-and-values
OLLAMA: Final = ParameterWords(
    {"dimensions": "dimension_count"}
    | _inside("options", {"num_predict": "max_tokens"} | _SAMPLING | _PENALTIES | _SEED | _STOP)
)
# https://huggingface.github.io/text-generation-inference/
TGI: Final = ParameterWords(
    _inside("parameters", {"max_new_tokens": "max_tokens"} | _SAMPLING | _PENALTIES | _SEED | _STOP)
)
# https://cloud.ibm.com/apidocs/watsonx-ai#text-generation
WATSONX: Final = ParameterWords(
    _inside("parameters", {"max_new_tokens": "max_tokens"} | _SAMPLING | _SEED | _STOP_SEQUENCES)
)
# https://docs.aleph-alpha.com/api/complete/
ALEPH_ALPHA: Final = ParameterWords(
    {"maximum_tokens": "max_tokens", "n": "choice_count"} | _SAMPLING | _PENALTIES | _STOP_SEQUENCES
)
# https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
LLAMA_CPP: Final = ParameterWords({"n_predict": "max_tokens"} | _SAMPLING | _PENALTIES | _SEED | _STOP)

# All words there are: what a request reader has to make values of.
ALL: Final = (OPENAI, OPENAI_EMBEDDINGS, OPENAI_RESPONSES, OPENAI_IMAGES, OPENAI_SPEECH, OPENAI_TRANSCRIPTIONS,
              ANTHROPIC, GEMINI, GEMINI_EMBEDDINGS, VERTEX_PREDICT, BEDROCK_CONVERSE, BEDROCK_INVOKE, COHERE, OLLAMA,
              TGI, WATSONX, ALEPH_ALPHA, LLAMA_CPP)  # fmt: skip
PATHS: Final = frozenset(path for words in ALL for path in words.paths)

# The members among them that are lists, or may be.
LISTS: Final = frozenset({"stop", "stop_sequences", "stopSequences", "embedding_types"})
