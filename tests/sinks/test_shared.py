from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, generate_latest, metrics, values
from prometheus_client.mmap_dict import MmapedDict
from support.logged import Logged
from support.waiting import wait_for

from extproc.errors import ExtractionError, Hindrance, Reason, Stage
from extproc.sinks.certificates import CertificateMetrics
from extproc.sinks.envoy_problems import EnvoyProblems
from extproc.sinks.prometheus import ServerMetrics
from extproc.sinks.shared import SharedMetrics, remove_values, share_values
from extproc.sinks.tokens import TokenMetrics
from extproc.usage import Completion, TokenUsage, UsageRecord

LABELS = {"llm": "openai", "model": "m"}
TOTAL = "ai_total_tokens_total"
MISCONFIGURED = "extproc_envoy_misconfigured"


class Worker:
    """The metrics of a process; `keeps` is what its values are kept in."""

    def __init__(self, keeps: Any = values.MutexValue) -> None:
        self._keeps = keeps
        self.registry = CollectorRegistry()
        with self._running():
            self._tokens = TokenMetrics(self.registry, max_label_values=9)
            self._server = ServerMetrics(self.registry, version="1")
            self._problems = EnvoyProblems(self.registry)

    @contextmanager
    def _running(self) -> Iterator[None]:
        """What is made meanwhile is made in this process."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(values, "ValueClass", self._keeps)
            yield

    def exchange(self, tokens: int = 5, duration_seconds: float = 0.5) -> None:
        """Count an exchange, on a gRPC stream that stays open."""
        record = UsageRecord(
            provider="openai",
            request_model="m",
            is_llm=True,
            completion=Completion.COMPLETE,
            duration_seconds=duration_seconds,
            time_to_first_token_seconds=0.25,
            usage=TokenUsage(tokens, 2),
            extraction_errors=(ExtractionError(Stage.RESPONSE_BODY, Reason.NOT_JSON),),
        )
        with self._running():
            self._server.stream_opened()
            self._tokens.emit(record)
            self._server.emit(record)

    def find(self, hindrance: Hindrance) -> None:
        """Tell of something found."""
        with self._running():
            self._problems.tell(hindrance, "", dict.fromkeys(Hindrance, ""))

    def text(self) -> str:
        return generate_latest(self.registry).decode()


class Shared:
    """The workers of a supervisor; the processes they would be are objects here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = CollectorRegistry()
        self.metrics = SharedMetrics(folder, Worker().registry)
        self.registry.register(self.metrics)

    def start(self, index: int) -> Worker:
        """Start the first process of a worker, or the next."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(values, "ValueClass", None)  # is put back behind the block
            share_values(self.folder, index)
            return Worker(values.ValueClass)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def text(self) -> str:
        return generate_latest(self.registry).decode()


@pytest.fixture(name="shared")
def _shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shared:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")  # is put back behind the test
    monkeypatch.setattr(metrics, "_use_created", False)
    return Shared(tmp_path)


def test_of_when_certificates_expire_the_first_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum of times is none; and a worker that has ended serves no certificate."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    template = CollectorRegistry()
    CertificateMetrics(template)
    shared = SharedMetrics(tmp_path, template)
    for index, expires_at_seconds in enumerate((300.0, 200.0)):
        with monkeypatch.context() as patch:
            patch.setattr(values, "ValueClass", values.MultiProcessValue(lambda index=index: index))  # type: ignore[no-untyped-call]
            CertificateMetrics(CollectorRegistry()).certificate_served(expires_at_seconds)
    registry = CollectorRegistry()
    registry.register(shared)
    assert registry.get_sample_value("extproc_tls_certificate_expiry_timestamp_seconds") == 200
    shared.worker_ended(1)
    assert registry.get_sample_value("extproc_tls_certificate_expiry_timestamp_seconds") == 300


def test_the_text_is_that_of_one_process(shared: Shared) -> None:
    """Before the first exchange and behind the last: the same families, help, series and sums, in the same order."""
    alone = Worker()
    assert shared.text() == alone.text()
    workers = [shared.start(0), shared.start(1)]
    assert shared.text() == alone.text()
    for number in range(9):
        tokens, duration = 10**number, 0.125 * number  # the sums are exact in any order
        workers[number % 2].exchange(tokens, duration)
        alone.exchange(tokens, duration)
    assert shared.text() == alone.text()
    assert shared.value("extproc_streams_active") == 9


def test_the_next_process_goes_on_where_the_last_one_stopped(shared: Shared) -> None:
    """But nothing of what the last one had under way is under way any more."""
    shared.start(0).exchange()
    shared.start(1).exchange()
    shared.metrics.worker_ended(0)
    assert (shared.value(TOTAL, **LABELS), shared.value("extproc_streams_active")) == (14, 1)
    again = shared.start(0)
    assert (shared.value(TOTAL, **LABELS), shared.value("extproc_streams_active")) == (14, 1)
    again.exchange()
    assert (shared.value(TOTAL, **LABELS), shared.value("extproc_streams_active")) == (21, 2)
    assert shared.value("ai_request_duration_seconds_count", **LABELS) == 3
    assert len(list(shared.folder.iterdir())) == 8


def test_what_one_worker_has_found_stands_for_all(shared: Shared) -> None:
    """It is no more of a problem for being found twice; the next process of a worker looks for itself."""
    workers = [shared.start(0), shared.start(1)]
    assert shared.value(MISCONFIGURED, problem="observability_mode") == 0
    for worker in workers:
        worker.find(Hindrance.OBSERVABILITY_MODE)
        assert shared.value(MISCONFIGURED, problem="observability_mode") == 1
    assert shared.value(MISCONFIGURED, problem="headers_not_forwarded") == 0
    for index in range(2):
        shared.metrics.worker_ended(index)
    assert shared.value(MISCONFIGURED, problem="observability_mode") in (0, None)


def test_a_worker_is_not_one_whose_number_ends_like_its_own(shared: Shared) -> None:
    """1 is not 11."""
    shared.start(1).exchange()
    shared.start(11).exchange()
    shared.metrics.worker_ended(1)
    assert shared.value("extproc_streams_active") == 1


def empty(path: Path) -> None:
    """As a process leaves it that is killed while it makes the file."""
    path.write_bytes(b"")


def lead_beyond(path: Path) -> None:
    """A key that is longer than the file."""
    path.write_bytes(struct.pack("ii", 64, 0) + struct.pack("i", 10**6) + bytes(100))


def lead_backwards(path: Path) -> None:
    """A key of negative length."""
    path.write_bytes(struct.pack("ii", 64, 0) + struct.pack("i", -36) + bytes(100))


def be_text(path: Path) -> None:
    """Something else altogether."""
    path.write_bytes(b"what is this?" * 1000)


def other_json(path: Path) -> None:
    """A key that is none of a metric."""
    path.unlink()
    other = MmapedDict(str(path))  # type: ignore[no-untyped-call]
    other.write_value("[1]", 1, 0)  # type: ignore[no-untyped-call]
    other.close()  # type: ignore[no-untyped-call]


def start_again(path: Path) -> None:
    """Without any key, as a new file is."""
    path.write_bytes(bytes(2**16))


def vanish(path: Path) -> None:
    """Whoever cleans up may find it old."""
    path.unlink()


def count_less(path: Path) -> None:
    """Readable, and no count of ours."""
    file = MmapedDict(str(path))  # type: ignore[no-untyped-call]
    for key, value, _ in list(file.read_all_values()):  # type: ignore[no-untyped-call]
        file.write_value(key, value / 2, 0)  # type: ignore[no-untyped-call]
    file.close()  # type: ignore[no-untyped-call]


SPOILS = [empty, lead_beyond, lead_backwards, be_text, other_json, start_again, count_less, vanish]


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_file_that_cannot_be_read_costs_nothing_that_was_seen(
    shared: Shared, spoil: Callable[[Path], None], logged: Logged
) -> None:
    """The other workers are seen as ever, and the next process of this one counts on top of what was there."""
    shared.start(0).exchange()
    other = shared.start(1)
    assert shared.value(TOTAL, **LABELS) == 7
    spoil(shared.folder / "counter_0.db")
    other.exchange()
    assert shared.value(TOTAL, **LABELS) == 14
    shared.metrics.worker_ended(0)
    (line,) = logged
    assert line["event"] == "a worker left counts that cannot be read, what was seen of them stays"
    assert line["worker"] == 0
    shared.start(0).exchange()
    assert shared.value(TOTAL, **LABELS) == 21
    assert shared.value("ai_request_duration_seconds_count", **LABELS) == 3


def test_a_file_that_was_never_read_is_missed_by_nobody(shared: Shared) -> None:
    """A process that is killed while it starts leaves an empty one."""
    empty(shared.folder / "counter_0.db")
    assert shared.value("extproc_exchanges_skipped_total") == 0
    shared.metrics.worker_ended(0)
    shared.start(0).exchange()
    assert shared.value(TOTAL, **LABELS) == 7


@pytest.fixture(name="written", scope="module")
def _written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What a worker writes."""
    folder = tmp_path_factory.mktemp("written")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
        Shared(folder).start(0).exchange()
    return (folder / "counter_0.db").read_bytes()[:4096]


@given(data=st.data())
def test_whatever_is_in_a_file_is_read_or_passed_by(
    written: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Cut anywhere, or with any bytes changed; and what is left of it the next process can open."""
    content = bytearray(written[: data.draw(st.integers(1, len(written)))])
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("spoilt")
    path = folder / "counter_0.db"
    path.write_bytes(content)
    shared = SharedMetrics(folder, Worker().registry)
    assert len(list(shared.collect())) == len(list(shared.describe()))
    shared.worker_ended(0)
    assert len(list(shared.collect())) == len(list(shared.describe()))
    MmapedDict(str(path)).close()  # type: ignore[no-untyped-call]


# Counts as fast as it can, at first under names that were not there before, so that its file grows.
COUNTING = """
import pathlib, sys
from extproc.sinks.shared import share_values
share_values(pathlib.Path(sys.argv[1]), 0)
from prometheus_client import CollectorRegistry, Counter
family = Counter("counted", "What was counted", ["process", "number"], registry=CollectorRegistry())
while True:
    for number in range(400):
        family.labels(sys.argv[2], str(number)).inc()
"""


def test_a_process_may_be_killed_at_any_instruction(tmp_path: Path, logged: Logged) -> None:
    """Its files can be read, the next process can open them, and nothing that was counted is gone."""
    families = CollectorRegistry()
    Counter("counted", "What was counted", ["process", "number"], registry=families)
    metrics = SharedMetrics(tmp_path, families)
    counts = [0.0]

    def has_counted(at_least: int) -> bool:
        (family,) = metrics.collect()
        counts.append(sum(sample.value for sample in family.samples))
        return counts[-1] > counts[0] + at_least

    for process in range(8):
        counts[0] = counts[-1]
        with subprocess.Popen([sys.executable, "-c", COUNTING, str(tmp_path), str(process)]) as counting:
            try:
                wait_for(partial(has_counted, 100 * process))
            finally:
                counting.kill()
        metrics.worker_ended(0)
        has_counted(0)
    del counts[0]
    assert counts == sorted(counts)
    assert logged == []
    assert (tmp_path / "counter_0.db").stat().st_size > 2**16


def test_the_last_to_remove_its_values_removes_the_directory(tmp_path: Path, shared: Shared) -> None:
    """And leaves those of the others."""
    shared.folder = tmp_path / "metrics"
    shared.folder.mkdir()
    shared.start(0).exchange()
    shared.start(1).exchange()
    remove_values(shared.folder, 0)
    assert {path.name[-5:] for path in shared.folder.iterdir()} == {"_1.db"}
    remove_values(shared.folder, 1)
    assert not shared.folder.exists()


def test_a_scraper_can_ask_for_some(shared: Shared) -> None:
    """By their names, as of any registry."""
    shared.start(0).exchange()
    restricted = shared.registry.restricted_registry([TOTAL])
    assert [family.name for family in restricted.collect()] == ["ai_total_tokens"]
