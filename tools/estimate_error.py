"""How far estimates are off what providers reported: a table of all recordings with texts, by family of models.

    .venv/bin/python tools/estimate_error.py RECORDINGS [--each] [--calibrate]

Prints Markdown: for each family how many exchanges there are, and the median and the 95th percentile of the relative
error of prompt, completion and total. What can't be known of a text is left out where the provider tells that it was
there: prompts with media or server-side tools, and completions with thoughts that nobody was shown.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from extproc.estimates.counter import count_text
from extproc.estimates.families import FAMILIES, family_of, wrapping_of
from extproc.policy import Policy
from extproc.providers.detect import Detector
from extproc.question import Question
from extproc.readers import ExtractionErrors, Limits
from extproc.response import Response
from extproc.transcript import Transcript
from extproc.usage import TokenUsage

_POLICY = Policy(count_text=count_text, wrapping_of=wrapping_of, estimates_whole=True)
_DETECTOR = Detector()
_TAIL = 0.95


@dataclass(frozen=True, slots=True)
class Error:
    """One exchange: what was reported of it, and what was estimated. A side is None where it can't be compared."""

    name: str
    family: str
    prompt: tuple[int, int] | None
    completion: tuple[int, int] | None

    @property
    def total(self) -> tuple[int, int] | None:
        """Both sides together."""
        if self.prompt is None or self.completion is None:
            return None
        return self.prompt[0] + self.completion[0], self.prompt[1] + self.completion[1]


def estimate(folder: Path, case: dict[str, Any]) -> tuple[TokenUsage | None, TokenUsage | None, str | None, str | None]:
    """Return the usage that a recording reports, the one that is estimated of its texts, its model and its provider."""
    body = (folder / "request.json").read_bytes()
    question = Question(None)
    question.read_headers(
        {":method": case["method"], ":authority": case["host"] or "api.openai.com", ":path": case["path"]}, _DETECTOR
    )
    question.read(json.loads(body))
    transcript = Transcript(_POLICY, count_text)
    transcript.hold_request(body)
    response = Response(Limits(), ExtractionErrors(), transcript)
    if question.expected is not None:
        response.documents.expect(question.expected)
    named = {"content-type": case["response_content_type"], "content-encoding": case["response_content_encoding"]}
    headers = {":status": str(case["status"])} | {name: value for name, value in named.items() if value}
    response.take_headers(headers)
    response.read_body(headers)
    response.take_chunk((folder / "response.body").read_bytes(), end_of_stream=True, now=0.0)
    documents = response.documents
    reported, documents.usage = documents.usage, None
    model, provider = documents.model or question.model, question.provider
    transcript.estimate(documents, model, provider)
    return reported, transcript.usage, model, provider


def compare(folder: Path) -> Error | None:
    """Return how far the estimate of a recording is off; None where nothing is reported, or nothing estimated."""
    case = json.loads((folder / "case.json").read_text())
    if case["status"] != 200 or not (folder / "request.json").exists():  # noqa: PLR2004 - OK
        return None
    reported, estimated, model, provider = estimate(folder, case)
    if reported is None or estimated is None:
        return None
    text = (folder / "request.json").read_text() + " ".join(case["traits"])
    prompt = _pair(reported.prompt_tokens, estimated.prompt_tokens)
    if any(mark in text for mark in _MEDIA) or reported.audio_prompt_tokens or reported.tool_use_prompt_tokens:
        prompt = None
    completion = _pair(reported.completion_tokens, estimated.completion_tokens)
    if reported.reasoning_tokens or reported.audio_completion_tokens or not estimated.completion_tokens:
        completion = None
    return Error(folder.name, family_of(model, provider).name, prompt, completion)


# What is in requests of which more is counted than their text, or other than what they say.
_MEDIA = (
    '"image', "image/", "audio/", "application/pdf", "input_file", "web_search", "code_execution", "codeExecution",
    "googleSearch", "cachedContent", "previous_response_id", "file_search", "web_fetch", "advisor", "guardrail",
    '"conversation"', "fileData", "s3Location", "mcp_servers", "tool_search",
)  # fmt: skip


def _pair(reported: int | None, estimated: int | None) -> tuple[int, int] | None:
    return None if not reported or estimated is None else (reported, estimated)


def compare_all(recordings: Path) -> Iterator[Error]:
    """Yield what there is to compare in a folder of recordings."""
    for folder in sorted(path for path in recordings.iterdir() if path.is_dir()):
        error = compare(folder)
        if error is not None and (error.prompt or error.completion):
            yield error


def relative(pairs: Iterable[tuple[int, int] | None]) -> list[float]:
    """Return the relative errors, smallest first."""
    return sorted(abs(estimated - reported) / reported for reported, estimated in filter(None, pairs))


def quantile(errors: Sequence[float], share: float) -> float:
    """Return the error that so many do not pass."""
    return errors[min(len(errors) - 1, int(share * len(errors)))]


def _cells(pairs: Iterable[tuple[int, int] | None]) -> str:
    errors = relative(pairs)
    if not errors:
        return "0 | - | -"
    return f"{len(errors)} | {median(errors):.1%} | {quantile(errors, _TAIL):.1%}"


def table(errors: Iterable[Error]) -> Iterator[str]:
    """Yield the lines of the table."""
    by_family: dict[str, list[Error]] = defaultdict(list)
    for error in errors:
        by_family[error.family].append(error)
    yield "| family | prompts | median | p95 | completions | median | p95 | totals | median | p95 |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    rows = [(family.name, by_family[family.name]) for family in FAMILIES if family.name in by_family]
    for name, found in (*rows, ("all", [error for errors in by_family.values() for error in errors])):
        sides = ([e.prompt for e in found], [e.completion for e in found], [e.total for e in found])
        yield f"| {name} | {' | '.join(map(_cells, sides))} |"


def main() -> None:
    """Print the table, and with --each what it is made of."""
    errors = list(compare_all(Path(sys.argv[1])))
    if "--each" in sys.argv:
        for error in errors:
            print(f"{error.family:18} {error.name:50} prompt {error.prompt} completion {error.completion}")
    print("\n".join(table(errors)))


if __name__ == "__main__":
    main()
