from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest, metrics, values
from prometheus_client.openmetrics import exposition as openmetrics

from extproc.sinks.exemplars import Witness
from extproc.sinks.shared import SharedMetrics
from extproc.telemetry import store
from extproc.telemetry.instruments import Instrument
from extproc.telemetry.series import is_shared
from extproc.telemetry.store import Families

SIZES = Instrument("a.size", "histogram", "By", "Sizes", (0.5, 1.0, 2.5))
COUNT = Instrument("a.count", "counter", "", "Counts")
WITNESS = Witness({"trace_id": "1", "span_id": "2"}, 12.5)


@pytest.fixture(autouse=True)
def _no_created(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_use_created", False)


@pytest.fixture(name="shared_in")
def _shared_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which values are kept, as a worker keeps them."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    keeps = values.MultiProcessValue(lambda: 0)  # type: ignore[no-untyped-call]
    monkeypatch.setattr(values, "ValueClass", keeps)
    yield tmp_path
    keeps.close_all_files()


def open_text(registry: CollectorRegistry) -> str:
    return bytes(openmetrics.generate_latest(registry)).decode()  # type: ignore[no-untyped-call]


def fill(registry: CollectorRegistry, observed: list[float]) -> None:
    families = Families(registry)
    histogram = families.histogram(SIZES, ["route", "b"])
    counter = families.counter(COUNT, ["route"])
    families.show()
    for number, value in enumerate(observed):
        histogram.series((f"r{number % 2}", 'x"')).observe(value)
        counter.series(("r",)).add(value)


@given(st.lists(st.floats(0, 4) | st.sampled_from(SIZES.bounds), max_size=8))
def test_what_it_hands_out_is_what_the_library_would(observed: list[float]) -> None:
    """Line by line in both formats, bounds themselves included."""
    registry, library = CollectorRegistry(), CollectorRegistry()
    fill(registry, observed)
    histogram = prometheus_client.Histogram(
        SIZES.family, SIZES.help, ["route", "b"], buckets=SIZES.bounds, registry=library
    )
    counter = prometheus_client.Counter(COUNT.family, COUNT.help, ["route"], registry=library)
    for number, value in enumerate(observed):
        histogram.labels(f"r{number % 2}", 'x"').observe(value)
        counter.labels("r").inc(value)
    assert generate_latest(registry) == generate_latest(library)
    assert open_text(registry) == open_text(library)


def test_a_supervisor_reads_what_a_worker_counts(shared_in: Path) -> None:
    """The files are the library's, and what it takes for a value is pinned here."""
    fill(CollectorRegistry(), [0.5, 2.0, 9.0])
    assert is_shared()
    template, seen = CollectorRegistry(), CollectorRegistry()
    fill(template, [])
    seen.register(SharedMetrics(shared_in, template))
    alone = CollectorRegistry()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "ValueClass", values.MutexValue)
        fill(alone, [0.5, 2.0, 9.0])
    assert sorted(generate_latest(seen).splitlines()) == sorted(generate_latest(alone).splitlines())


@pytest.mark.usefixtures("shared_in")
def test_a_worker_reads_its_own_values_and_keeps_no_traces() -> None:
    """Files have no place for them."""
    registry = CollectorRegistry()
    families = Families(registry)
    series = families.histogram(SIZES, []).series(())
    series.observe(0.75, WITNESS)
    series.merge((1, 0, 0, 2), 30.5)
    families.counter(COUNT, []).series(()).add(3)
    families.show()
    text = open_text(registry)
    assert 'a_size_bytes_bucket{le="+Inf"} 4.0\n' in text
    assert "a_size_bytes_sum 31.25\n" in text
    assert "a_count_total 3.0\n" in text


def test_many_values_at_once() -> None:
    """A stream counts the gaps between its chunks by itself."""
    families = Families(CollectorRegistry())
    series = families.histogram(SIZES, []).series(())
    series.observe(0.75)
    series.merge((1, 0, 0, 2), 30.5)
    assert (series.read().counts, series.read().total) == ((1, 1, 0, 2), 31.25)


def test_a_bucket_keeps_the_last_trace_seen_in_it() -> None:
    """For OpenMetrics alone: the plain format has no place for it."""
    registry = CollectorRegistry()
    families = Families(registry)
    series = families.histogram(SIZES, []).series(())
    for value in (0.75, 1.0, 9.0):
        series.observe(value, WITNESS)
    series.observe(2.0)
    families.show()
    lines = [line for line in open_text(registry).splitlines() if "span_id" in line]
    assert lines == [
        'a_size_bytes_bucket{le="1.0"} 2.0 # {span_id="2",trace_id="1"} 1.0 12.5',
        'a_size_bytes_bucket{le="+Inf"} 4.0 # {span_id="2",trace_id="1"} 9.0 12.5',
    ]
    assert b"span_id" not in generate_latest(registry)


def test_a_family_is_made_once() -> None:
    """Two rules that ask for it count in the same."""
    families = Families(CollectorRegistry())
    assert families.histogram(SIZES, ["a"]) is families.histogram(SIZES, ["a"])
    assert families.counter(COUNT, ["a"]).series(("x",)) is families.counter(COUNT, ["a"]).series(("x",))


def test_other_labels_are_a_variant_and_nothing_is_forgotten() -> None:
    """Settings may change while exchanges are counted; who asks again finds what is there."""
    registry = CollectorRegistry()
    families = Families(registry)
    first = families.counter(COUNT, ["route"])
    first.series(("r",)).add(1)
    families.show()
    families.counter(COUNT, ["route", "team"]).series(("r", "me")).add(2)
    families.show()
    assert families.counter(COUNT, ["route"]) is first
    assert registry.get_sample_value("a_count_total", {"route": "r"}) == 1
    assert registry.get_sample_value("a_count_total", {"route": "r", "team": "me"}) == 2
    assert generate_latest(registry).count(b"# TYPE") == 1


@pytest.mark.parametrize("is_file", [False, True])
def test_the_same_labels_in_another_order_are_the_same_series(request: pytest.FixtureRequest, is_file: bool) -> None:
    """To who reads them; a second one would be a series that is there twice, and in a file undo the first."""
    registry, folder = CollectorRegistry(), request.getfixturevalue("shared_in") if is_file else None
    families = Families(registry)
    families.counter(COUNT, ["route", "team"]).series(("r", "me")).add(1)
    families.histogram(SIZES, ["route", "team"]).series(("r", "me")).observe(1)
    families.counter(COUNT, ["team", "route"]).series(("me", "r")).add(2)
    families.histogram(SIZES, ["team", "route"]).series(("me", "r")).observe(1)
    families.counter(COUNT, ["route", "team"]).series(("r", "me")).add(4)
    families.show()
    if folder is not None:
        template, registry = registry, CollectorRegistry()
        registry.register(SharedMetrics(folder, template))
    assert registry.get_sample_value("a_count_total", {"route": "r", "team": "me"}) == 7
    assert registry.get_sample_value("a_size_bytes_count", {"route": "r", "team": "me"}) == 2
    assert generate_latest(registry).count(b"a_count_total{") == 1


@pytest.mark.parametrize("is_file", [False, True])
def test_a_label_that_is_empty_is_none(request: pytest.FixtureRequest, is_file: bool) -> None:
    """A scraper leaves it out, and then finds the series twice that had not got it before."""
    registry, folder = CollectorRegistry(), request.getfixturevalue("shared_in") if is_file else None
    families = Families(registry)
    families.histogram(SIZES, ["route"]).series(("r",)).observe(1)
    families.histogram(SIZES, ["route", "team"]).series(("r", "")).observe(0.5)
    families.show()
    if folder is not None:
        template, registry = registry, CollectorRegistry()
        registry.register(SharedMetrics(folder, template))
    assert registry.get_sample_value("a_size_bytes_bucket", {"route": "r", "le": "0.5"}) == 1
    assert registry.get_sample_value("a_size_bytes_count", {"route": "r"}) == 2
    assert generate_latest(registry).count(b"a_size_bytes_count{") == 1


def test_other_bounds_in_a_file_stand_beside_the_old_ones(shared_in: Path) -> None:
    """Each series has the buckets of both: who adds up those of one metric does so bucket by bucket."""
    template, registry = CollectorRegistry(), CollectorRegistry()
    families = Families(template)
    families.histogram(SIZES, ["team"]).series(("me",)).observe(0.75)
    families.histogram(Instrument("a.size", "histogram", "By", "Sizes", (9.0,)), ["team"]).series(("you",)).observe(1)
    families.show()
    registry.register(SharedMetrics(shared_in, template))
    text = generate_latest(registry).decode()
    for team, counts in {"me": "0 1 1 1 1", "you": "0 0 0 1 1"}.items():
        lines = [line for line in text.splitlines() if '_bucket{le="' in line and f'team="{team}"' in line]
        assert [line.rpartition(" ")[2] for line in lines] == [f"{count}.0" for count in counts.split()]


def test_other_bounds_begin_again_whatever_the_labels_are() -> None:
    """One metric has one set of buckets: series that turn out to be one can be added up."""
    registry = CollectorRegistry()
    families = Families(registry)
    families.histogram(SIZES, []).series(()).observe(0.75)
    families.histogram(Instrument("a.size", "histogram", "By", "Sizes", (9.0,)), ["team"]).series(("me",)).observe(1)
    families.show()
    text = open_text(registry)
    assert 'a_size_bytes_bucket{le="9.0",team="me"} 1.0' in text
    assert 'le="0.5"' not in text


def test_other_bounds_begin_again() -> None:
    """Buckets with other bounds can't be added to those of before; with the same, they are the same."""
    registry = CollectorRegistry()
    families = Families(registry)
    families.histogram(SIZES, []).series(()).observe(0.75)
    same = families.histogram(Instrument("a.size", "histogram", "By", "Sizes", SIZES.bounds), [])
    same.series(()).observe(0.75)
    other = families.histogram(Instrument("a.size", "histogram", "By", "Sizes", (9.0,)), [])
    other.series(()).observe(1)
    families.show()
    assert 'a_size_bytes_bucket{le="9.0"} 1.0\n' in (text := open_text(registry))
    assert "a_size_bytes_count 1.0\n" in text
    assert same is not other


def test_a_scrape_finds_some_bounds_while_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings change in one thread, and are read in another."""
    registry = CollectorRegistry()
    families = Families(registry)
    families.histogram(SIZES, [])
    families.show()
    make = store.HistogramFamily
    found: list[str] = []

    def make_meanwhile(instrument: Instrument, names: tuple[str, ...]) -> store.HistogramFamily:
        found.extend(family.name for family in registry.collect())
        return make(instrument, names)

    monkeypatch.setattr(store, "HistogramFamily", make_meanwhile)
    families.histogram(Instrument("a.size", "histogram", "By", "Sizes", (9.0,)), [])
    assert found == ["a_size_bytes"]


def test_what_is_no_longer_asked_for_is_no_longer_shown() -> None:
    """A vocabulary that was switched off; when it is back, so are its counts."""
    registry = CollectorRegistry()
    families = Families(registry)
    families.counter(COUNT, []).series(()).add(1)
    families.show()
    families.show()
    assert generate_latest(registry) == b""
    families.counter(COUNT, [])
    families.show()
    assert registry.get_sample_value("a_count_total") == 1


@pytest.mark.usefixtures("shared_in")
def test_two_who_count_the_same_in_a_file_do_not_undo_each_other() -> None:
    """A value in a file is written as it is remembered."""
    one, other = (Families(CollectorRegistry()).counter(COUNT, []).series(()) for _ in range(2))
    one.add(1)
    other.add(2)
    one.add(4)
    assert one.read() == other.read() == 7
