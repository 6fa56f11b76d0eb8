"""What is said of settings that cannot work: a remark each, with the place, the value and what is allowed.

Owns: these words. Values of headers may be credentials and are never in them, and neither is what holds them. Knows
which models there are only from the one it is given.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from extproc.config.lines import Loc
from extproc.config.sources import Origin, Remark, Tree
from extproc.credentials import holds_secret, is_secret_name
from extproc.errors import SettingsError

# Looking for what was meant takes its time; a file with more is no file of settings.
MAX_REMARKS = 1000

_MAX_SHOWN_CHARACTERS = 100
_FEW_WORDS = 8

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")

# What somebody may look for in a place where it is not.
_ELSEWHERE = {("OtlpExporter", "endpoint"): "an endpoint is of one signal: set traces.endpoint and metrics.endpoint"}

_EXPECTED = {
    "too_short": "at least one is expected",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number is expected"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number is expected"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false is expected"),
    "string_type": "a text is expected",
    "tuple_type": "a list is expected",
    "list_type": "a list is expected",
    "dict_type": "a mapping is expected",
    "model_type": "a mapping is expected",
    "model_attributes_type": "a mapping is expected",
}


def remarks_of(error: ValidationError, model: type[BaseModel], tree: Tree) -> list[Remark]:
    """Return one remark for each problem that pydantic found, up to more than anybody reads."""
    problems = error.errors()
    remarks = [Remark(*_place_and_text(problem, model, tree)) for problem in problems[:MAX_REMARKS]]
    if len(problems) > MAX_REMARKS:
        remarks.append(Remark(Origin(""), f"and {len(problems) - MAX_REMARKS} more"))
    return remarks


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return what is said of a key that is none of those."""
    return f"no such setting; {nearest(key, known)}"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return which words there are, and which of them may have been meant."""
    words = list(known)
    if not words:
        return "there are none"
    close = difflib.get_close_matches(word.lower(), words, n=1) or difflib.get_close_matches(word, words, n=1)
    there_are = f"there are {', '.join(words)}"
    if not close:
        return there_are
    # Who has made a typing error needs one word; a long list of others would hide it.
    return f"did you mean {close[0]}?" + (f" T{there_are[1:]}" if len(words) <= _FEW_WORDS else "")


def why_unreadable(path: str) -> str | None:
    """Return what is said of a file that cannot be read; None of one that can."""
    try:
        with Path(path).open("rb"):
            return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds a NUL"
        return f"cannot read {path!r}: {reason}"


def shown(value: Any) -> str:
    """Return a value as it may stand in a line: whole if it is one word, by its kind if it holds others."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list" if value else "an empty list"
    if isinstance(value, str) and "://" in value and "@" in value:
        return "a URL with a user"  # and a password, as a rule
    if isinstance(value, str) and holds_secret(value):
        return "what may be a credential"
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[:_MAX_SHOWN_CHARACTERS]}..."


def _place_and_text(problem: Any, model: type[BaseModel], tree: Tree) -> tuple[Origin, str]:
    loc, value = problem["loc"], problem["input"]
    where = tree.where(loc)
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, SettingsError):
        return where, _without_secrets(str(cause))
    if problem["type"] == "extra_forbidden":
        return where.at_key, _unknown(model, loc)
    if problem["type"] == "missing":
        return where, "it is missing"
    message = _EXPECTED.get(problem["type"]) or problem["msg"][:1].lower() + problem["msg"][1:]
    return where, message if _may_be_secret(loc) else f"{message}, not {shown(value)}"


def _without_secrets(text: str) -> str:
    """Return what is wrong with a value without the value, where that may be a credential."""
    if not holds_secret(text):
        return text
    text = _QUOTED.sub(lambda quoted: shown(quoted[0][1:-1]) if holds_secret(quoted[0][1:-1]) else quoted[0], text)
    return "it is not what is expected, and may be a credential" if holds_secret(text) else text


def _may_be_secret(loc: Loc) -> bool:
    return "headers" in loc or ("resource_attributes" in loc and is_secret_name(str(loc[-1]).lower()))


def _unknown(model: type[BaseModel], loc: Loc) -> str:
    for key in loc[:-1]:
        model = (_field_models(model).get(key) if isinstance(key, str) else None) or model
    key = str(loc[-1])
    return _ELSEWHERE.get((model.__name__, key)) or unknown_key(key, _field_models(model))


def _field_models(model: type[BaseModel]) -> dict[str, type[BaseModel] | None]:
    """Return the fields of a model as they are written, each with the model of what it holds, if that is one."""
    return {field.alias or name: _model_in(field.annotation) for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not get_args(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)
