"""`extproc replay`: the course of the command.

Owns: what PATH may be, which parts there are and how they are wired, and the exit code. Everything it tells goes
through a report.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from extproc.config.settings import Settings
from extproc.errors import EXIT_FAILURE, DecodeError, Reason, SettingsError
from extproc.pricing.book import PriceBook
from extproc.replay.capture import Capture, CaptureError, Source
from extproc.replay.check import check
from extproc.replay.costs import tell_cost
from extproc.replay.explain import explain
from extproc.replay.folders import find_folders
from extproc.replay.har import find_entries
from extproc.replay.jsonlines import JSONLinesReport
from extproc.replay.outcome import Outcome, Report, Sum
from extproc.replay.play import Observer, Split, parse_split, play
from extproc.replay.table import TableReport

_EXPECTED = "a HAR file, or a folder of captured exchanges (case.json, request.json and response.body in each)"


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for, as it was asked for."""

    split: str = "whole"
    is_checking: bool = False
    as_json: bool = False
    shows_costs: bool = False


@dataclass(frozen=True, slots=True)
class Player:
    """Plays sources as they were asked to be played."""

    observer: Observer
    split: Split
    is_checking: bool
    book: PriceBook | None = None

    def play(self, source: Source) -> Outcome:
        """Return what came of one source. Whatever is wrong with it costs no other."""
        try:
            capture = source.read()
            return self._play(capture)
        except CaptureError as error:
            return Outcome(source.name, failure=str(error))
        except Exception as error:  # noqa: BLE001 - a bug of ours; its text may repeat traffic, so it is left out
            return Outcome(source.name, failure=f"a bug in extproc: {type(error).__name__}")

    def _play(self, capture: Capture) -> Outcome:
        record = play(capture, self.observer, self.split)
        differences = None
        if self.is_checking and capture.expected is not None:
            differences = check(record, capture.expected)
        explanation = explain(record, capture, self.observer)
        return Outcome(capture.name, record, explanation, differences, arithmetic=tell_cost(record, self.book))


def replay(path: Path, settings: Settings, observer: Observer, options: Options, book: PriceBook | None = None) -> int:
    """Play what is at `path` and tell of it; return the exit code: 0 if all could be played and is as expected, else 1.

    `book` tells what the costs are made of that the policy of `observer` works out.
    Raises SettingsError for a path that can't be read or is not what can be played, and for a split that is none.
    """
    player = Player(observer, parse_split(options.split), options.is_checking, book)
    sources = find_sources(path)
    report: Report = (
        JSONLinesReport(settings, sys.stdout.buffer)
        if options.as_json
        else TableReport(_console(), shows_costs=options.shows_costs)
    )
    total = Sum()
    with _reader_may_leave():
        for source in _shown(sources, is_shown=not (options.as_json and sys.stdout.isatty())):
            outcome = player.play(source)
            total.add(outcome)
            report.add(outcome)
        report.finish(total)
    if options.is_checking and not total.checked:
        raise SettingsError(
            f"--check: nothing in {path} says which counts to expect (usage or expected in a case.json)"
        )
    return 0 if total.is_good else EXIT_FAILURE


def find_sources(path: Path) -> Sequence[Source]:
    """Return the captures at a path: a folder of them, one of them, or a HAR file. Raises SettingsError."""
    try:
        if path.is_dir():
            sources: Iterable[Source] | None = find_folders(path)
        else:
            sources = find_entries(path.read_bytes())
        found = None if sources is None else list(sources)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}; it has to be {_EXPECTED}") from None
    except DecodeError as error:
        what = "stops in the middle" if error.reason is Reason.TRUNCATED else "is not JSON"
        raise SettingsError(f"{path} {what}; it has to be {_EXPECTED}") from None
    if found is None:
        raise SettingsError(f"{path} is no HAR file; it has to be {_EXPECTED}")
    if not found:
        raise SettingsError(f"{path} holds no captured exchange; it has to be {_EXPECTED}")
    return found


def _console() -> Console:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name of a folder or a model need not exist in this terminal
    return Console(highlight=False)


def _shown(sources: Sequence[Source], *, is_shown: bool) -> Iterable[Source]:
    """Return the sources, with a progress bar for who watches."""
    console = Console(stderr=True)
    is_hidden = not (is_shown and console.is_terminal)
    return track(sources, "Replaying", console=console, transient=True, disable=is_hidden)


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """End without a word where nobody reads on: `extproc replay ... | head`."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered has to go somewhere when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(EXIT_FAILURE) from None
