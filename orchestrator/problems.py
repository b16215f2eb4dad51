"""Everything wrong with a policy file, gathered and told at once: pydantic's errors become places in the file.

Knows nothing of what the file's sections mean.
"""

import difflib
import json
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from experts.errors import ConfigError, MadrigalError
from orchestrator.yaml_marks import Document, Path

MOST = 20
"""Errors told at once; the rest is counted."""

M = TypeVar("M", bound=BaseModel)

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping of keys to values",
    "mapping_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "none_required": "left out",
}


class Problems:
    """Gathers errors of one document; `check` raises them as one `ConfigError`."""

    def __init__(self, doc: Document) -> None:
        self.doc = doc
        self.found: list[ConfigError] = []

    def add(self, message: str, path: Path = (), *, at_key: bool = False, offset: int | None = None) -> None:
        """Note that what is at `path` is wrong; `offset` is a character of its text."""
        self.found.append(self.doc.error(message, path, at_key=at_key, offset=offset))

    def check(self) -> None:
        """Raise what was gathered, in the order of the file; nothing gathered, nothing raised."""
        told: dict[str, ConfigError] = {str(error): error for error in self.found}
        errors = sorted(told.values(), key=lambda error: (error.line or 0, error.column or 0))
        if errors:
            raise together(errors)

    def unknown(self, key: str, known: Iterable[str], path: Path) -> None:
        """Note that `key`, the last of `path`, is not among `known`."""
        self.add(f"unknown key {key!r}{suggest(key, known)}", path, at_key=True)

    def validate(self, model: type[M], data: Any, path: Path, *, known: Iterable[str] = ()) -> M | None:
        """`data`, found at `path`, as `model`, or None after noting what is wrong. No text is taken for a number.

        `known` are keys allowed beside the model's own, for the error that lists them.
        """
        if not isinstance(data, dict):
            self.add(f"must be {_WANTED['dict_type']}; {given(data)} was given", path)
            return None
        try:
            return model.model_validate_json(json.dumps(data), strict=True)
        except ValidationError as error:
            for one in error.errors(include_url=False):
                self._translate(model, one, path, tuple(known))
        except MadrigalError as error:
            self.add(str(error), path)
        return None

    def _translate(self, model: type[BaseModel], error: Mapping[str, Any], path: Path, known: tuple[str, ...]) -> None:
        kind, loc, value = error["type"], error["loc"], error["input"]
        full = self._existing((*path, *loc))
        context = error.get("ctx", {})
        if kind == "extra_forbidden":
            here = known if len(loc) == 1 else ()
            self.unknown(str(loc[-1]), (*here, *fields_at(model, loc[:-1])), (*path, *loc))
        elif kind == "missing":
            self.add(f"key {str(loc[-1])!r} is missing", (*path, *loc[:-1]))
        elif kind in ("literal_error", "enum"):
            self.add(
                f"must be {context['expected']}; {given(value)} was given{closest(value, context['expected'])}", full
            )
        elif kind == "too_short":
            self.add(f"at least {context['min_length']} is needed; {context['actual_length']} given", full)
        elif kind == "string_too_short":
            self.add("must not be empty", full)
        elif kind in _WANTED:
            hint = "; put it in quotes" if kind == "string_type" and isinstance(value, int | float) else ""
            self.add(f"must be {_WANTED[kind]}; {given(value)} was given{hint}", full)
        elif kind in ("value_error", "assertion_error"):
            self.add(str(context.get("error", error["msg"])), full)
        else:
            said = error["msg"].replace("Input should be", "must be").replace("should have", "must have")
            said = said.removeprefix("Value ").removeprefix("Input ")
            self.add(f"{said[:1].lower()}{said[1:]}; {given(value)} was given", full)

    def _existing(self, path: Path) -> Path:
        """`path` without the parts pydantic adds for the members of a union, as far as the file has it."""
        kept: Path = ()
        for part in path:
            if self.doc.node((*kept, part)) is not None:
                kept = (*kept, part)
        return kept


def together(errors: list[ConfigError]) -> ConfigError:
    """One error for several: it has the place of the first, and tells up to `MOST` of them, a line each."""
    first = errors[0]
    if len(errors) == 1:
        return first
    whole = ConfigError("", file=first.file, line=first.line, column=first.column, key=first.key)
    lines = [str(error) for error in errors[:MOST]]
    if len(errors) > MOST:
        lines.append(f"and {len(errors) - MOST} more")
    whole.message = "\n".join(lines)
    whole.args = (whole.message,)
    return whole


def suggest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'server'? Known: …`, or only the known words where none is close."""
    words = sorted(set(known))
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return (f"; did you mean {close[0]!r}?" if close else ".") + f" Known: {', '.join(words) or 'none'}"


def closest(value: Any, expected: str) -> str:
    """`; did you mean 'x'?` where the text `value` is close to one of pydantic's quoted `expected` values."""
    close = difflib.get_close_matches(str(value), list(expected.split("'")[1::2]), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def given(value: Any) -> str:
    """A value as an error shows it: short, and named by what it is."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> set[str]:
    """Keys that a mapping at `loc` inside `model` may have."""
    models = {model}
    for part in loc:
        stepped = {
            inner
            for one in models
            if isinstance(part, str) and part in one.model_fields
            for inner in _models(one.model_fields[part].annotation)
        }
        models = stepped or models  # a list position, or a union's member
    return {field.alias or name for one in models for name, field in one.model_fields.items()}


def _models(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {found for inner in typing.get_args(annotation) for found in _models(inner)}
