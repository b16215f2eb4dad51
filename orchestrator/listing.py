"""Lists that models write: JSON, numbered or dashed lines, read leniently. Pure; knows no strategy.

What a model was asked to list comes in many forms: a JSON array (of texts, or of objects with one telling text), fenced
or within prose, `1.`, `2)`, `Step 3:`, `- `, bold or not, an item over several lines. Prose without any of these is no list.
"""

import re
from collections.abc import Iterator
from typing import Any

import orjson

_ITEM = re.compile(
    r"^[ \t]{0,3}[*_#>\t ]*(?:(?:step|task|sub-?task|part|observation|idea)\s*(\d{1,3})\s*[.):\-–]|(\d{1,3})[.):]|[-*•–])[*_]*\s+(?=\S)",
    re.IGNORECASE,
)
_MARKED = 200
"""Characters of a line in which its mark begins; a line of nothing but stars is read no further."""
_KEYS = ("task", "subtask", "sub_task", "description", "text", "content", "observation", "title", "name")
_LISTS = ("tasks", "subtasks", "sub_tasks", "observations", "parts", "steps", "items")


def listed(text: str, most: int) -> list[str]:
    """The items of the list in `text`, at most `most`, in their order and none twice; empty where there is none."""
    items = _json_items(text) or list(_line_items(text))
    found = dict.fromkeys(" ".join(item.split()).strip(" *_`") for item in items)
    return [item for item in found if item][:most]


def _json_items(text: str) -> list[str]:
    """The items of the first JSON array or object that stands in the text, however it is fenced."""
    for begin, end in (("[", "]"), ("{", "}")):
        at, last = text.find(begin), text.rfind(end)
        if 0 <= at < last:
            try:
                found = _texts(orjson.loads(text[at : last + 1]))
            except (orjson.JSONDecodeError, RecursionError):
                continue
            if found:
                return found
    return []


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        lists = [value[key] for key in _LISTS if isinstance(value.get(key), list)]
        lists += [inner for inner in value.values() if isinstance(inner, list)]
        return _texts(lists[0]) if lists else []
    if not isinstance(value, list):
        return []
    return [said for said in map(_text, value) if said]


def _text(item: Any) -> str:
    if isinstance(item, dict):
        named = [item[key] for key in _KEYS if isinstance(item.get(key), str)]
        texts = named or [inner for inner in item.values() if isinstance(inner, str)]
        return texts[0] if texts else ""
    return item if isinstance(item, str) else ""


def _line_items(text: str) -> Iterator[str]:
    """Items of lines. Numbered ones are the list where there are any: dashes below them are their details. Prose after
    an empty line is no longer part of an item."""
    lines = [(line, _ITEM.match(line[:_MARKED])) for line in text.splitlines()]
    numbered = any(mark and (mark[1] or mark[2]) for _, mark in lines)
    item: list[str] = []
    gap = False
    for line, mark in lines:
        if mark and (mark[1] or mark[2] or not numbered):
            if item:
                yield " ".join(item)
            item, gap = [line[mark.end() :]], False
        elif not line.strip():
            gap = True
        elif item and (mark or not gap or line[0] in " \t"):
            item.append(line.strip().lstrip("-*•– "))
        elif item:
            yield " ".join(item)
            item = []
    if item:
        yield " ".join(item)
