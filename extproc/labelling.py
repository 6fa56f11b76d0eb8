"""From settings to what bounds the labels of metrics.

Owns: that rules, pinned values and the key of hashes come together. Must not know metrics.
"""

from __future__ import annotations

from extproc.config.labels import ALL_LABELS, LabelSettings, read_hash_key
from extproc.config.settings import Settings
from extproc.errors import SettingsError
from extproc.sinks.labels import LabelChoice, LabelChoices


def build_label_choices(settings: Settings) -> LabelChoices:
    """Return what a deployment says of labels. Raises SettingsError if the key can't be read."""
    labels = settings.labels
    key = b"" if labels.hash_key_file is None else _read_key(labels.hash_key_file)
    own = {name: _choice(labels.of(name), key) for name in labels.rules if name != ALL_LABELS}
    return LabelChoices(own, _choice(labels.of(ALL_LABELS), key))


def _choice(settings: LabelSettings, key: bytes) -> LabelChoice:
    rule = settings.build_rule(key)
    pinned = (rule.apply(value)[0] for value in settings.pinned or ())
    return LabelChoice(rule, settings.max_values, frozenset(value for value in pinned if value))


def _read_key(path: str) -> bytes:
    key = read_hash_key(path)
    if not key:
        raise SettingsError(f"labels.hash_key_file: {path!r} can't be read, or is empty")
    return key
