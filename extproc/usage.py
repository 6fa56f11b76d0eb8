"""The vocabulary of usage: what one exchange used, and what became of it.

Owns the token contract as types: inclusive counts, subsets that are never added again, and absence as `None`, which is
not zero. Knows nothing of providers, wires or sinks, and imports nothing of ours but the errors it carries.
"""

from __future__ import annotations

import enum

import msgspec

from extproc.errors import Bound, ExtractionError
from extproc.surroundings import Surroundings


class UsageSource(enum.StrEnum):
    """How far the token counts of an exchange can be trusted."""

    REPORTED = "reported"  # the provider said so, and the answer is complete
    PARTIAL = "partial"  # the provider said so, but not all of the answer was seen; what it left open is estimated
    ESTIMATED = "estimated"  # the provider said nothing: what was seen of the texts is counted here
    NONE = "none"  # the provider reported no token usage


class NativeCheck(enum.StrEnum):
    """What became of the usage that Envoy itself had read."""

    ONLY = "only"  # there was no other, so it stands
    AGREED = "agreed"  # it was read here as well, with the same counts
    DISAGREED = "disagreed"  # it was read here as well, with others, and those stand


class Completion(enum.StrEnum):
    """How an exchange ended: a closed set, each exchange ends in exactly one of them."""

    COMPLETE = "complete"
    ERROR = "error"  # answered with an error, by the provider or by Envoy in its place
    CANCELLED = "cancelled"  # downstream or upstream reset it before its end
    TRUNCATED = "truncated"  # the answer stops in the middle, or this process had to stop watching

    @property
    def is_failure(self) -> bool:
        """Whether the call failed, as a client sees it. To be given up is no failure."""
        return self in (Completion.ERROR, Completion.TRUNCATED)


class Failure(enum.StrEnum):
    """Why a call failed, as a client sees it: whose turn it is to do something about it."""

    CLIENT_ERROR = "client_error"  # 4xx: the request was no good, or the key
    RATE_LIMITED = "rate_limited"  # 429, the provider's or Envoy's own
    SERVER_ERROR = "server_error"  # 5xx
    INTERRUPTED = "interrupted"  # an error within the answer, or it broke off


_TOO_MANY_REQUESTS = 429
_CLIENT_ERRORS = range(400, 500)
_SERVER_ERRORS = range(500, 600)


class TokenUsage(msgspec.Struct, frozen=True, gc=False):
    """Token counts of one answer. `None`: the provider did not say; 0: it said zero.

    `prompt_tokens` and `completion_tokens` are inclusive. The other counts are subsets of these two, except
    `provider_total_tokens`, which is the provider's own total, and `billed_*`, which is what a provider says it charges
    for where that is something else.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    provider_total_tokens: int | None = None
    cached_tokens: int | None = None
    cache_creation_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_prompt_tokens: int | None = None
    audio_completion_tokens: int | None = None
    tool_use_prompt_tokens: int | None = None
    billed_input_tokens: int | None = None
    billed_output_tokens: int | None = None

    @property
    def total_tokens(self) -> int | None:
        """Prompt and completion together; more where the provider's own total says there was more.

        Some servers leave tokens out of both sides and only count them in the total (Gemini's OpenAI-compatible
        endpoint does so with thoughts), and what was counted is what is billed: docs/adr/0002.
        """
        known = (self.prompt_tokens or 0) + (self.completion_tokens or 0)
        if self.provider_total_tokens is not None:
            return max(known, self.provider_total_tokens)
        return None if self.prompt_tokens is None or self.completion_tokens is None else known

    @property
    def charged_tokens(self) -> int:
        """What a rate limit is charged: the total, or the side of it that is known."""
        total = self.total_tokens
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0) if total is None else total


# Upper bounds of the time between two chunks that carry tokens; the last bucket, above them, has none. They are those
# OpenTelemetry advises for gen_ai.client.operation.time_per_output_chunk.
CHUNK_GAP_BOUNDS_SECONDS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)


class RequestParameters(msgspec.Struct, frozen=True, gc=False):
    """What a request asked of the model besides its prompt. `None`: it did not say."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    choice_count: int | None = None
    dimension_count: int | None = None  # of embeddings
    encoding_formats: tuple[str, ...] | None = None
    stop_sequences: tuple[str, ...] | None = None  # text of the client's: for whoever asks for it, and nobody else
    output_type: str | None = None  # text, json, image or speech


class Timing(msgspec.Struct, frozen=True, gc=False):
    """When what happened: seconds since the request's headers. `None`: it did not happen, or was not seen.

    A first token is the first of what a model makes: content for the user, or its reasoning. Roles, pings, comments and
    counts are none. `output_chunks` counts the chunks of a stream that carried tokens, `chunk_gaps` the times between
    them in the buckets of CHUNK_GAP_BOUNDS_SECONDS, and `longest_stall_seconds` is the longest of these.
    """

    request_end_seconds: float | None = None
    response_headers_seconds: float | None = None
    first_byte_seconds: float | None = None
    first_content_seconds: float | None = None
    first_reasoning_seconds: float | None = None
    last_token_seconds: float | None = None
    longest_stall_seconds: float | None = None
    output_chunks: int = 0
    chunk_gaps: tuple[int, ...] = ()
    chunk_gaps_sum_seconds: float = 0.0


NO_TIMING = Timing()


class Cost(msgspec.Struct, frozen=True, gc=False):
    """What an exchange costs by a list of prices: in US dollars, and in millionths of one as a whole number.

    Of that, what reading from a cache saved against the price of input, and what writing to one cost above it. `None`:
    nobody said how much was read or written, or it has no price of its own.
    """

    usd: float
    usd_micros: int
    cache_savings_usd: float | None = None
    cache_write_premium_usd: float | None = None


class UsageRecord(msgspec.Struct, frozen=True, gc=False):
    """Everything known of one settled exchange. Sinks get it once, and only this.

    Of bodies and headers it holds names of models, the words of APIs for finish and error, parameters and counts;
    what else of the exchange around it is in `surroundings`, and only where telemetry asks for it.
    """

    is_llm: bool
    completion: Completion
    duration_seconds: float
    provider: str | None = None
    operation: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    streaming: bool = False
    status_code: int | None = None
    usage: TokenUsage | None = None
    usage_source: UsageSource = UsageSource.NONE
    finish_reason: str | None = None
    error_type: str | None = None
    time_to_first_token_seconds: float | None = None
    extraction_errors: tuple[ExtractionError, ...] = ()
    native_check: NativeCheck | None = None
    bounds_hit: tuple[Bound, ...] = ()  # each once
    started_at_seconds: float = 0.0  # monotonic, as whoever carries the messages passes it in
    timing: Timing = NO_TIMING
    parameters: RequestParameters | None = None
    response_id: str | None = None
    conversation_id: str | None = None
    finish_reasons: tuple[str, ...] = ()  # of all choices, in their order
    request_body_bytes: int | None = None  # as they were on the wire, as far as they were shown
    response_body_bytes: int | None = None
    surroundings: Surroundings | None = None
    request_id: str | None = None  # Envoy's, where somebody asked for it
    prompt_estimate_tokens: int | None = None  # counted before the request went on, where somebody asked for it
    include_usage: str | None = None  # what became of asking for usage in the client's place
    cost: Cost | None = None
    is_unpriced: bool = False  # there is usage, but no price for it
    charges: tuple[tuple[str, int], ...] = ()  # what rate limits take, each under its key; none is negative
    charge_errors: tuple[str, ...] = ()  # keys of those that are not what was asked for
    rate_limited_tokens: int | None = None  # of the charges, what Envoy's limiter takes in tokens
    reserved: tuple[tuple[str, int], ...] = ()  # charged with the request, before anything was used

    @property
    def model(self) -> str | None:
        """The model as asked for; where that is not known, as answered."""
        return self.request_model or self.response_model

    @property
    def failure(self) -> Failure | None:
        """Why it failed; None if it did not."""
        if not self.completion.is_failure:
            return None
        status = self.status_code
        if status == _TOO_MANY_REQUESTS:
            return Failure.RATE_LIMITED
        if status in _CLIENT_ERRORS:
            return Failure.CLIENT_ERROR
        return Failure.SERVER_ERROR if status in _SERVER_ERRORS else Failure.INTERRUPTED

    @property
    def time_per_output_token_seconds(self) -> float | None:
        """The time of each token of a stream after the first; None where that can't be told.

        Tokens that came all at once say nothing of it. Reasoning that nobody was shown came before the first token.
        """
        first, timing = self.time_to_first_token_seconds, self.timing
        tokens = None if self.usage is None else self.usage.completion_tokens
        if self.usage is None or tokens is None or first is None or timing.last_token_seconds is None:
            return None
        if timing.first_reasoning_seconds is None:
            tokens -= self.usage.reasoning_tokens or 0
        if tokens <= 1 or timing.output_chunks <= 1:
            return None
        return (timing.last_token_seconds - first) / (tokens - 1)
