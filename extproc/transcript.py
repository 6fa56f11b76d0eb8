"""What was said in an exchange, as far as its tokens may have to be counted here, and the estimate made of it.

Owns: what is held of a request and of an answer, for how long and how much of it, when a running answer is estimated,
and how an estimate and what the provider reported make one usage. Texts are only made when they are counted: most
exchanges report their usage, and then nothing is done with what is held. Must not know phases, or tokenizers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from msgspec.structs import replace

from extproc.codec.document import decode_document
from extproc.codec.shape import Shape
from extproc.errors import Bound, DecodeError, Reason, Stage
from extproc.policy import Policy, TextCounter
from extproc.providers.answer import DocumentReader
from extproc.providers.base import Flavour
from extproc.providers.counts import JSONObject
from extproc.providers.texts import Prompt, read_prompt
from extproc.readers import ExtractionErrors
from extproc.runs import Piece, Runs
from extproc.semconv import EMBEDDINGS
from extproc.usage import TokenUsage, UsageSource

# Of a request that is larger the prompt is not estimated: most of it is media.
MAX_REQUEST_BYTES = 1024 * 1024

# Of an answer more is not held: it is counted before.
MAX_ANSWER_BYTES = 192 * 1024

# What an event takes beside its bytes.
_EVENT_BYTES = 128

# All requests that are held in a process, and as much of all answers. Of a request for which there is no room the
# prompt is not estimated; of answers what there is is counted at once.
MAX_HELD_BYTES = 128 * 1024 * 1024


class HeldBytes:
    """How many bytes of requests, and of answers, are held in this process."""

    __slots__ = ("answers", "count")

    def __init__(self) -> None:
        self.count = 0
        self.answers = 0


_HELD = HeldBytes()
_SHAPE = Shape()


class Transcript:
    """What is held of one exchange. `due_at` is when, in monotonic seconds, its running answer is to be estimated.

    `has_more` says that some of the answer came after the last report of usage, set by who reads it where a report
    comes with it. `usage` is what was estimated so far, `prompt_tokens` that of the request.
    """

    __slots__ = ("_answer", "_answer_bytes", "_count", "_held", "_is_lacking", "_policy", "_request",
                 "_request_bytes", "_runs", "_shape", "_skip", "_skip_bound", "due_at", "has_more", "is_published",
                 "prompt_tokens", "usage")  # fmt: skip

    def __init__(self, policy: Policy, count: TextCounter, held: HeldBytes = _HELD, *, shape: Shape = _SHAPE) -> None:
        self._policy = policy
        self._count = count
        self._held = held
        self._shape = shape
        self._request: list[bytes] | None = []
        self._request_bytes = 0
        self._answer: list[Piece] = []
        self._answer_bytes = 0
        self._runs: Runs | None = None
        self._skip: Reason | None = None
        self._skip_bound: Bound | None = None
        self._is_lacking = False
        self.due_at = inf
        self.has_more = False
        self.is_published = False
        self.prompt_tokens: int | None = None
        self.usage: TokenUsage | None = None

    def __del__(self) -> None:
        self.drop()

    @property
    def held_bytes(self) -> int:
        """How much is held, as it came."""
        return self._request_bytes + self._answer_bytes

    def take_request_headers(self, headers: Mapping[str, str]) -> None:
        """Take note of requests that can't be read as they come."""
        if headers.get("content-encoding"):
            self._skip_request(Reason.CONTENT_ENCODING)
        elif headers.get("content-type", "")[:10].lower() == "multipart/":
            self._skip_request(Reason.CONTENT_TYPE)

    def hold_request(self, chunk: bytes) -> None:
        """Keep a piece of the request."""
        if self._request is None:
            return
        size = len(chunk)
        if self._request_bytes + size > MAX_REQUEST_BYTES or self._held.count + size > MAX_HELD_BYTES:
            self._skip_request(Reason.TOO_LARGE)
            return
        self._request.append(chunk)
        self._request_bytes += size
        self._held.count += size

    def drop_request(self) -> None:
        """Keep nothing of the request any more: it has been counted, by whomever."""
        self._held.count -= self._request_bytes
        self._request, self._request_bytes = None, 0

    def _skip_request(self, reason: Reason) -> None:
        self.drop_request()
        self._skip = reason

    def hold(self, events: Sequence[tuple[bytes, bytes]], size_bytes: int) -> None:
        """Keep events of the answer: their names and data."""
        self._answer.append(events)
        size_bytes += _EVENT_BYTES * len(events)
        self._answer_bytes += size_bytes
        self._held.answers += size_bytes
        self.has_more = True
        if self._is_full:
            self.due_at = -inf

    @property
    def _is_full(self) -> bool:
        """Whether no more of the answer is to be held."""
        return self._answer_bytes > MAX_ANSWER_BYTES or self._held.answers > MAX_HELD_BYTES

    def hold_document(self, document: JSONObject) -> None:
        """Keep the document that is the whole of an answer."""
        self._answer.append(document)

    def begin_answer(self, now: float) -> None:
        """Take note that the answer begins."""
        self.due_at = now + self._policy.estimate_interval_seconds

    def estimate_prompt(self, model: str | None, provider: str | None, flavour: Flavour | None) -> int | None:
        """Return the tokens of the request, if all of it was seen, and keep nothing else of it."""
        self._is_lacking = True
        if self._request:
            body = b"".join(self._request)
            self.drop_request()
            try:
                prompt = self._prompt_in(body)
            except DecodeError as error:
                self._skip, self._skip_bound = error.reason if error.bound else Reason.NOT_JSON, error.bound
                return None
            if prompt is None:
                self._skip = Reason.NOT_JSON
            elif not prompt.is_whole:
                self._skip = Reason.TOO_LARGE
            else:
                if flavour is not None and flavour.operation == EMBEDDINGS:
                    prompt.message_count = 0
                self.prompt_tokens = _prompt_tokens(prompt, self._policy, self._count, model, provider)
        return self.prompt_tokens

    def _prompt_in(self, body: bytes) -> Prompt | None:
        self._shape.check(body)
        document = decode_document(body)
        return read_prompt(document) if isinstance(document, dict) else None

    def tick(self, documents: DocumentReader, model: str | None, provider: str | None, now: float) -> bool:
        """Estimate a running answer; say whether that is news. Where the provider counts as it goes, its counts do."""
        self.due_at = now + self._policy.estimate_interval_seconds
        before = self.usage
        if not self._is_full and (not documents.has_read or self._is_counted(documents)):
            return False
        self.estimate(documents, model, provider)
        self.is_published = self.is_published or self.usage != before
        return self.usage != before

    def relieve(self, documents: DocumentReader, model: str | None, provider: str | None, now: float) -> bool:
        """Make room where what is held is no stream, but many documents; say whether that is news."""
        if not self._is_full:
            return False
        if self._policy.estimates_whole:
            return self.tick(documents, model, provider, now)
        self._take_answer()  # it is not estimated, however it ends
        return False

    def _take_answer(self) -> list[Piece]:
        """Return what is held of the answer, and hold nothing of it any more."""
        answer, self._answer = self._answer, []
        self._held.answers -= self._answer_bytes
        self._answer_bytes = 0
        return answer

    def _is_counted(self, documents: DocumentReader) -> bool:
        """Say whether the provider has counted all of the answer that there is so far."""
        return documents.usage is not None and bool(documents.usage.completion_tokens) and not self.has_more

    def estimate(self, documents: DocumentReader, model: str | None, provider: str | None) -> None:
        """Count what was seen since the last time."""
        flavour = documents.flavour
        held = self._take_answer()
        if flavour is None or flavour.read_texts is None:
            return
        runs = self._runs = self._runs or Runs()
        runs.take(held, flavour.read_texts, flavour.quiet)
        completion = runs.count(self._count, model, provider)
        if runs.call_count:
            completion += runs.call_count * self._policy.wrapping_of(model, provider).call_tokens
        reported = documents.usage
        prompt = None
        if reported is None or reported.prompt_tokens is None:
            prompt = self.estimate_prompt(model, provider, documents.flavour)
        self.usage = TokenUsage(prompt_tokens=prompt, completion_tokens=completion)

    def settle(
        self, documents: DocumentReader, model: str | None, provider: str | None, *, is_stream: bool, is_whole: bool
    ) -> None:
        """Estimate an answer that is over, where that is wanted; `is_whole` says that all of it was seen.

        A count of all of it that the provider gave stands, and with it what was published before.
        """
        if self._is_counted(documents):
            return
        usage = documents.usage
        is_wanted = self._policy.estimates_streams if is_stream else self._policy.estimates_whole and bool(self._answer)
        is_garbage = not documents.has_read and (bool(self._answer) or documents.may_lack_usage)
        is_refused = is_garbage or (documents.error_type is not None and not documents.heard)
        is_open = documents.usage_source(is_whole=is_whole) is not UsageSource.REPORTED
        lacks_side = usage is not None and None in (usage.prompt_tokens, usage.completion_tokens)
        # What was published can't be taken back, so it is made good in any case.
        is_missing = is_open and not is_refused
        if (is_wanted and is_missing) or (self.is_published and (is_open or lacks_side)):
            self.estimate(documents, model, provider)

    def drop(self) -> None:
        """Keep nothing any more."""
        self.drop_request()
        self._take_answer()

    def joined(self, reported: TokenUsage | None, source: UsageSource) -> tuple[TokenUsage | None, UsageSource]:
        """Return the usage as reported, and where that leaves something open, as estimated."""
        estimated = self.usage or TokenUsage()
        if reported is None:
            return estimated, UsageSource.ESTIMATED
        prompt, completion = reported.prompt_tokens, reported.completion_tokens
        if source is UsageSource.REPORTED and (not self.is_published or None not in (prompt, completion)):
            return reported, source
        if source is not UsageSource.REPORTED:
            completion = max(completion or 0, estimated.completion_tokens or 0)
        return replace(
            reported,
            prompt_tokens=estimated.prompt_tokens if prompt is None else prompt,
            completion_tokens=estimated.completion_tokens if completion is None else completion,
        ), UsageSource.PARTIAL

    def tell_skips(self, errors: ExtractionErrors) -> None:
        """Tell why the request could not be estimated, if it was to be."""
        if self._is_lacking and self._skip is not None:
            errors.add(Stage.ESTIMATE, self._skip, self._skip_bound)


def begin_transcript(policy: Policy, shape: Shape) -> Transcript | None:
    """Return the transcript of an exchange; None where nothing is estimated."""
    return None if policy.count_text is None else Transcript(policy, policy.count_text, shape=shape)


def _prompt_tokens(prompt: Prompt, policy: Policy, count: TextCounter, model: str | None, provider: str | None) -> int:
    around = policy.wrapping_of(model, provider)
    tokens = prompt.token_count + count("\n".join(prompt.texts), model, provider)
    if prompt.schemas:
        tokens += round(count("\n".join(prompt.schemas), model, provider) * around.schema_share)
    if prompt.has_tools:
        tokens += around.tools_tokens
    if prompt.message_count:
        tokens += prompt.message_count * around.message_tokens + around.answer_tokens
    return tokens
