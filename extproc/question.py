"""What is asked of a model: by the headers of a request, by its document, and by what Envoy has read of it.

Owns: whether an exchange is with an LLM, as far as its request tells, which model is asked, and with which parameters.
Must not know the answer, phases, bytes or time.
"""

from __future__ import annotations

from collections.abc import Mapping

from extproc.native import NativeRequest
from extproc.providers import parameters
from extproc.providers.base import EMPTY_OBJECT, Flavour, RequestFacts, clean_id, clean_name
from extproc.providers.counts import JSONObject
from extproc.providers.detect import Detector, Target, read_llm_request
from extproc.usage import RequestParameters

# Every API that counts tokens is asked with POST. An answer that is asked for again is no new one.
_METHOD = "POST"

_NO_TARGET = Target()
_NO_FACTS = RequestFacts()


class Question:
    """One request. `is_llm` says that a model is asked, `expected` is the flavour its answer is to be read as.

    `provider` is who answers it, where that is known, `said_provider` what the configuration says of it.
    """

    __slots__ = ("_document", "_facts", "expected", "is_llm", "provider", "said_provider", "target")

    def __init__(self, provider: str | None) -> None:
        """Start with what the Envoy configuration says of the provider, taken verbatim."""
        self.said_provider = provider
        self._document: JSONObject = EMPTY_OBJECT
        self._facts = _NO_FACTS
        self.provider = provider
        self.target = _NO_TARGET
        self.is_llm = False
        self.expected: Flavour | None = None

    def read_headers(self, headers: Mapping[str, str], detector: Detector) -> bool:
        """Take the request headers; say whether there may be a question behind them."""
        if headers.get(":method", _METHOD) != _METHOD:
            return False
        authority, path = headers.get(":authority", ""), headers.get(":path", "")
        target = self.target = detector.detect(authority, path, self.said_provider)
        self.provider = self.said_provider or target.provider
        # Behind a path that others use as well, question or answer has to have the shape of an LLM's.
        is_open = target.is_common and self.said_provider is None
        self.is_llm = target.flavour is not None and not target.is_excluded and not is_open
        self._expect()
        return not target.is_excluded

    def read(self, document: JSONObject) -> None:
        """Take what was decoded of the request's document."""
        self._document = document
        flavour = self.target.flavour
        if not self.is_llm and (question := read_llm_request(document)) is not None:
            self.is_llm = True
            self._facts = question
            self._expect()
        if flavour is not None and (self.is_llm or flavour.by_shape):
            self._facts = flavour.read_request(document)  # where it goes by shape, the answer tells what it was

    def read_native(self, asked: NativeRequest) -> bool:
        """Take what Envoy has read of the request; say whether that is news. What is read here stands."""
        if self._facts != _NO_FACTS:
            return False
        self._facts = RequestFacts(clean_name(asked.model or ""), asked.streaming)
        return True

    @property
    def model(self) -> str | None:
        """The model that is asked. Where the path names one, whoever answers goes by it, whatever the document says."""
        return self.target.model or self._facts.model

    @property
    def is_streaming(self) -> bool:
        """Whether a stream is asked for."""
        return self._facts.streaming or self.target.streaming

    @property
    def may_be_answered_otherwise(self) -> bool:
        """Whether an answer that is no JSON is what the API may say: audio, plain text."""
        flavour = self.target.flavour
        return flavour is not None and not flavour.answers_in_json

    def _expect(self) -> None:
        flavour = self.target.flavour
        self.expected = flavour if flavour is not None and (self.is_llm or flavour.by_shape) else None

    def parameters(self, answered: Flavour | None) -> RequestParameters | None:
        """Return what is asked besides; where the request's flavour has no words for it, in those of the answer's."""
        for flavour in (self.target.flavour, answered):
            if flavour is not None and flavour.read_parameters is not None:
                return flavour.read_parameters(self._document)
        return parameters.OPENAI.read(self._document)

    def conversation_id(self, answered: Flavour | None) -> str | None:
        """Return the conversation that the request names, where its API has one."""
        for flavour in (self.target.flavour, answered):
            if flavour is not None and flavour.read_conversation is not None:
                return clean_id(flavour.read_conversation(self._document) or "")
        return None
