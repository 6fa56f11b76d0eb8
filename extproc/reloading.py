"""Settings that change while a process serves: noticed, checked, put into force or refused.

Owns: when they are read again (on order, or when a file has changed), what can't change without a restart, what is
logged of it, and the metrics of it. Must not know what settings mean.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from extproc.config.budgets import carry_over
from extproc.config.loading import Loaded
from extproc.config.settings import Settings
from extproc.errors import SettingsError
from extproc.logs import place_of

log = structlog.stdlib.get_logger("extproc")

# What a process is built around. Changes of these wait for the next start.
FIXED = ("listen", "listen_tls", "allow_plaintext", "socket_mode", "admin_listen", "workers", "engine",
         "max_concurrent_streams", "log_format")  # fmt: skip

# What tells that a file is another one, or has another content: device, inode, size, time of change.
_Mark: TypeAlias = tuple[int, int, int, int] | None


@dataclass(slots=True)
class Source:
    """Where settings come from, to be asked again and again.

    `find_files` returns the files that are read. `load` raises SettingsError; it can be called again as long as it
    `is_repeatable`.
    """

    load: Callable[[], Loaded]
    find_files: Callable[[], Iterable[Path]] = tuple
    is_repeatable: Callable[[], bool] = lambda: True
    _marks: Mapping[Path, _Mark] = field(default_factory=dict)
    _changing: Mapping[Path, _Mark] | None = None

    def __post_init__(self) -> None:
        """Remember the files as they are: what is read is read after this."""
        self.remember()

    def remember(self) -> None:
        """Take the files as they are for known."""
        self._marks, self._changing = self._look(), None

    def adopt(self) -> None:
        """Take files that settings have just named for known as they are; what is known of others stays."""
        self._marks = {path: self._marks.get(path, mark) for path, mark in self._look().items()}

    def has_changed(self) -> bool:
        """Return whether a file has changed since it was last asked, and is not being written any more.

        So it is asked twice before a change is one: a file may be seen when half of it is there. Links are followed: a
        mounted ConfigMap changes where they lead to.
        """
        found = self._look()
        if found == self._marks:
            self._changing = None
            return False
        if found != self._changing:
            self._changing = found
            return False
        self._marks, self._changing = found, None
        return True

    def _look(self) -> dict[Path, _Mark]:
        return {path: _mark_of(path) for path in self.find_files()}


def _mark_of(path: Path) -> _Mark:
    try:
        found = os.stat(path)  # noqa: PTH116 - what is meant is the system's own call
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class ReloadMetrics:
    """Counts reloads, and says how the last one ended. Settings that a process starts with are good."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reloads = Counter(
            "extproc_config_reloads", "Times that settings were read again", ["outcome"], registry=registry
        )
        self._is_good = Gauge(
            "extproc_config_last_reload_successful",
            "Whether the settings that were read last are in force",
            registry=registry,
        )
        self._good_at = Gauge(
            "extproc_config_last_reload_success_timestamp_seconds",
            "When settings were last put into force",
            registry=registry,
        )
        for outcome in ("good", "bad"):
            self._reloads.labels(outcome)
        self._take(is_good=True)

    def count(self, *, is_good: bool) -> None:
        """Count a reload."""
        self._reloads.labels("good" if is_good else "bad").inc()
        self._take(is_good=is_good)

    def _take(self, *, is_good: bool) -> None:
        self._is_good.set(int(is_good))
        if is_good:
            self._good_at.set_to_current_time()


class Reloader:
    """Puts settings into force with `apply`, which raises SettingsError and then has changed nothing."""

    def __init__(
        self, settings: Settings, source: Source, metrics: ReloadMetrics, apply: Callable[[Settings], None]
    ) -> None:
        self.settings = settings
        self._source = source
        self._metrics = metrics
        self._apply = apply
        self._look_at = time.monotonic()
        self.is_good = True
        self.changed_at = time.time()  # when the settings in force were put into force

    def tick(self) -> float | None:
        """Reload if a file has changed; return in how many seconds to look again, if ever."""
        period_seconds = self.settings.config_poll_seconds
        if not period_seconds:
            return None
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + period_seconds
            if self._source.has_changed():
                self.reload("a file has changed")
        return max(self._look_at - time.monotonic(), 0.0)

    def reload(self, cause: str) -> None:
        """Read the settings again and put them into force, or say what is wrong with them and leave all as it is."""
        self._source.remember()
        try:
            if not self._source.is_repeatable():
                raise SettingsError("--config: settings come from what is no file, and cannot be read again")  # noqa: TRY301 - as any other
            loaded = self._source.load()
            self._source.adopt()
            settings = self._without_fixed(loaded.settings)
            changed = changed_paths(self.settings, settings)
            self._apply(settings)
        except SettingsError as error:
            self.fail(str(error), cause)
            return
        except Exception as error:  # noqa: BLE001 - a bug in here must not end what is metered
            self.fail(f"bug: {type(error).__name__} at {place_of(error)}", cause)
            return
        self.settings, self.is_good, self.changed_at = settings, True, time.time()
        self._metrics.count(is_good=True)
        log.info("settings reloaded", cause=cause, changed=changed)
        for warning in loaded.warnings:
            log.warning("a setting has no effect", what=warning)

    def fail(self, problems: str, cause: str) -> None:
        """Say that settings are not in force, and why."""
        self.is_good = False
        self._metrics.count(is_good=False)
        lines = problems.splitlines()
        for line in lines:
            log.error("a setting is wrong", problem=line)
        log.error("settings not reloaded, those before stay in force", cause=cause, problems=len(lines))

    def describe(self) -> dict[str, Any]:
        """Return what /status says of it."""
        return {"last_reload_successful": self.is_good, "changed_at_unix_seconds": round(self.changed_at, 3)}

    def _without_fixed(self, settings: Settings) -> Settings:
        """Return settings with what can't change as it is, and say so."""
        kept = {name: getattr(self.settings, name) for name in FIXED}
        budgets, of_budgets = carry_over(self.settings.budgets, settings.budgets)
        waiting = [*(name for name, value in kept.items() if getattr(settings, name) != value), *of_budgets]
        if waiting:
            log.warning("some settings wait for the next start", settings=waiting)
        return settings.model_copy(update=kept | {"budgets": budgets})


def changed_paths(one: Settings, other: Settings) -> list[str]:
    """Return the names of the settings that differ, down to where they do. Values may be secrets, and are left out."""
    return sorted(_differences("", one.model_dump(mode="json"), other.model_dump(mode="json")))


def _differences(path: str, one: Any, other: Any) -> Iterable[str]:
    if one == other:
        return
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from _differences(f"{path}.{key}" if path else key, one.get(key), other.get(key))
    else:
        yield path
