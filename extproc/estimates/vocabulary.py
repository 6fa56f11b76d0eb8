"""OpenAI's vocabularies, out of the package `bpe-openai`, which is there with the extra `estimate`.

Owns: how they are loaded, and when: once in a process, and never while a stream waits for it if that can be helped.
Nothing is downloaded. Must not know texts, or models.

What the package has beside its native module is left alone: it parses the vocabularies a second time, into Python
objects, which takes half a second and 60 MiB, and nobody here reads them.
"""

from __future__ import annotations

import threading
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder
from importlib.util import find_spec, module_from_spec
from typing import Any, Literal, Protocol, TypeAlias

_PACKAGE = "bpe_openai"
_NATIVE_MODULE = "_bindings"

Encoding: TypeAlias = Literal["o200k_base", "cl100k_base"]


class Tokenizer(Protocol):
    """Counts tokens by one vocabulary."""

    def count(self, text: str) -> int:
        """Return how many tokens a text has, in time that grows with its length and with nothing else.

        Raises UnicodeEncodeError for half of a surrogate pair.
        """
        ...


def is_installed() -> bool:
    """Say whether there are vocabularies that work here; a package may be there and not be for this system."""
    try:
        _native_module()
    except ImportError:
        return False
    return True


# Two threads may ask at once; one of them loads.
_LOCK = threading.Lock()


@cache
def _native_module() -> Any:
    package = find_spec(_PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError(name=_PACKAGE)
    finder = FileFinder(package.submodule_search_locations[0], (ExtensionFileLoader, EXTENSION_SUFFIXES))
    spec = finder.find_spec(_NATIVE_MODULE)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(name=f"{_PACKAGE}.{_NATIVE_MODULE}")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def _loaded(encoding: Encoding) -> Tokenizer:
    tokenizer: Tokenizer = _native_module().tokenizer_for_encoding(encoding)
    return tokenizer


def tokenizer_of(encoding: Encoding) -> Tokenizer:
    """Return the tokenizer of a vocabulary, which is loaded if nobody has asked for it before.

    That takes 20 to 60 ms, in which nothing else in this process runs. Raises ModuleNotFoundError without the package.
    """
    with _LOCK:
        return _loaded(encoding)


def load_in_background(*encodings: Encoding) -> threading.Thread:
    """Load vocabularies in a thread of its own, before they are needed."""
    thread = threading.Thread(target=lambda: [tokenizer_of(each) for each in encodings], name="vocabularies")
    thread.daemon = True
    thread.start()
    return thread
