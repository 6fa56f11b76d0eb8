from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from support.logged import Logged

from extproc.config.loading import Loaded, load_settings
from extproc.config.settings import Settings
from extproc.config.sources import Tree
from extproc.errors import SettingsError
from extproc.reloading import Reloader, ReloadMetrics, Source, changed_paths


class Reloading:
    """A reloader of one file, and what it put into force."""

    def __init__(self, file: Path, apply: Callable[[Settings], None] | None = None) -> None:
        self.file = file
        self.registry = CollectorRegistry()
        self.applied: list[Settings] = []
        source = Source(lambda: load_settings({}, {}, [file]), lambda: (file,))
        start = source.load().settings
        self.reloader = Reloader(start, source, ReloadMetrics(self.registry), apply or self.applied.append)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"extproc_config_{name}", labels)


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text("drain_seconds: 1\n")
    return path


def test_what_is_good_is_put_into_force(file: Path, logged: Logged) -> None:
    """And what changed is told by its names: values may be secrets."""
    reloading = Reloading(file)
    assert reloading.value("last_reload_successful") == 1
    file.write_text("drain_seconds: 2\ntelemetry: {service_name: secret}\n")
    reloading.reloader.reload("SIGHUP")
    (applied,) = reloading.applied
    assert applied == reloading.reloader.settings
    assert applied.drain_seconds == 2
    (line,) = logged
    assert (line["event"], line["cause"]) == ("settings reloaded", "SIGHUP")
    assert line["changed"] == ["drain_seconds", "telemetry"]
    assert "secret" not in repr(logged)
    assert reloading.value("reloads_total", outcome="good") == 1
    assert reloading.reloader.describe()["last_reload_successful"] is True


def test_what_is_bad_is_told_whole_and_changes_nothing(file: Path, logged: Logged) -> None:
    """Until it is good again."""
    reloading = Reloading(file)
    good_at = reloading.value("last_reload_success_timestamp_seconds")
    file.write_text("drain_seconds: -1\nlog_level: loud\n")
    reloading.reloader.reload("SIGHUP")
    assert reloading.applied == []
    assert reloading.reloader.settings.drain_seconds == 1
    *problems, last = logged
    assert [line["event"] for line in problems] == ["a setting is wrong"] * 2
    assert "drain_seconds" in problems[0]["problem"]
    assert (last["event"], last["problems"]) == ("settings not reloaded, those before stay in force", 2)
    assert reloading.value("last_reload_successful") == 0
    assert reloading.value("reloads_total", outcome="bad") == 1
    assert reloading.value("last_reload_success_timestamp_seconds") == good_at
    file.write_text("drain_seconds: 3\n")
    reloading.reloader.reload("SIGHUP")
    assert reloading.value("last_reload_successful") == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SettingsError("telemetry: the port is taken"), "telemetry: the port is taken"),
        (KeyError("sk-1"), "bug: KeyError at test_reloading.py:"),
    ],
)
def test_what_cannot_be_put_into_force_is_refused(file: Path, logged: Logged, error: Exception, said: str) -> None:
    """A bug in here ends nothing either, and its text is not repeated."""

    def refuse(_: Settings) -> None:
        raise error

    reloading = Reloading(file, refuse)
    file.write_text("drain_seconds: 2\n")
    reloading.reloader.reload("SIGHUP")
    assert reloading.reloader.settings.drain_seconds == 1
    assert logged[0]["problem"].startswith(said)
    assert "sk-1" not in repr(logged)
    assert reloading.value("last_reload_successful") == 0


def test_what_a_process_is_built_around_waits_for_the_next_start(file: Path, logged: Logged) -> None:
    """The rest is put into force."""
    reloading = Reloading(file)
    file.write_text("listen: 127.0.0.1:1\nworkers: 3\ndrain_seconds: 2\n")
    reloading.reloader.reload("SIGHUP")
    (applied,) = reloading.applied
    assert (applied.listen, applied.workers, applied.drain_seconds) == ("127.0.0.1:18080", 1, 2)
    assert logged[0]["event"] == "some settings wait for the next start"
    assert logged[0]["settings"] == ["listen", "workers"]


def test_what_comes_from_a_pipe_cannot_be_read_again(tmp_path: Path, logged: Logged) -> None:
    """It would be empty, and all would be as if nothing had been set."""
    source = Source(lambda: Loaded(Settings(), Tree()), is_repeatable=lambda: False)
    applied: list[Settings] = []
    Reloader(Settings(), source, ReloadMetrics(CollectorRegistry()), applied.append).reload("SIGHUP")
    assert applied == []
    assert "cannot be read again" in logged[0]["problem"]
    assert list(tmp_path.iterdir()) == []


def test_a_change_is_one_when_it_is_over(file: Path) -> None:
    """A file may be seen when half of it is there."""
    source = Source(lambda: Loaded(Settings(), Tree()), lambda: (file,))
    assert not source.has_changed()
    file.write_text("drain_seconds: 22\n")
    assert not source.has_changed()
    file.write_text("drain_seconds: 222\n")
    assert not source.has_changed()
    assert source.has_changed()
    assert not source.has_changed()


def test_a_file_that_goes_or_comes_is_a_change(file: Path) -> None:
    """Whatever is made of it."""
    source = Source(lambda: Loaded(Settings(), Tree()), lambda: (file,))
    file.unlink()
    assert [source.has_changed() for _ in range(3)] == [False, True, False]
    file.write_text("")
    assert [source.has_changed() for _ in range(3)] == [False, True, False]


def test_the_links_of_a_mounted_configmap_are_followed(tmp_path: Path) -> None:
    """Kubernetes writes a new folder and turns one link to it; the file's own link stays as it is."""
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "settings.yaml").write_text("drain_seconds: 1\n")
    data, file = tmp_path / "..data", tmp_path / "settings.yaml"
    data.symlink_to("1")
    file.symlink_to("..data/settings.yaml")
    source = Source(lambda: Loaded(Settings(), Tree()), lambda: (file,))
    (tmp_path / "..data_tmp").symlink_to("2")
    os.replace(tmp_path / "..data_tmp", data)  # noqa: PTH105 - as kubelet does
    assert [source.has_changed() for _ in range(3)] == [False, True, False]


def test_files_are_looked_at_now_and_then(file: Path, logged: Logged) -> None:
    """As often as it is set, or never."""
    file.write_text("config_poll_seconds: 0.001\n")
    reloading = Reloading(file)
    file.write_text("config_poll_seconds: 0\n")
    while not reloading.applied:
        due = reloading.reloader.tick()
        assert due is None or 0 <= due <= 0.001
    assert logged[0]["cause"] == "a file has changed"
    assert reloading.reloader.tick() is None


def test_differences_are_told_by_their_names() -> None:
    """Down to where they are."""
    one = Settings.model_validate({"telemetry": {"queue": {"max_spans": 600}, "service_name": "a"}})
    other = Settings.model_validate({"telemetry": {"queue": {"max_spans": 700}, "service_name": "b"}, "workers": 2})
    assert changed_paths(one, other) == ["telemetry.queue.max_spans", "telemetry.service_name", "workers"]
    assert changed_paths(one, one) == []


def test_files_that_settings_name_are_looked_at_from_then_on(file: Path, tmp_path: Path) -> None:
    """To be named is no change; and what is changed in the one that was read stays to be seen."""
    named: list[Path] = []
    source = Source(lambda: load_settings({}, {}, [file]), lambda: (file, *named))
    file.write_text("drain_seconds: 7\n")
    other = tmp_path / "other.yaml"
    other.write_text("a")
    named.append(other)
    source.adopt()
    assert [source.has_changed() for _ in range(3)] == [False, True, False]
    other.write_text("bc")
    assert [source.has_changed() for _ in range(3)] == [False, True, False]


def test_what_a_port_of_budgets_is_built_around_waits(file: Path, logged: Logged) -> None:
    """Their limits do not."""
    file.write_text("budgets: {listen: '127.0.0.1:1'}\n")
    reloading = Reloading(file)
    file.write_text("budgets: {listen: '127.0.0.1:2', domains: [{domain: d}]}\n")
    reloading.reloader.reload("SIGHUP")
    (applied,) = reloading.applied
    assert applied.budgets is not None
    assert applied.budgets.listen == "127.0.0.1:1"
    assert [each.domain for each in applied.budgets.domains] == ["d"]
    assert logged[0]["settings"] == ["budgets.listen"]
