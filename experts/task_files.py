"""Tasks with known answers, and whether an answer is the right one. Knows nothing of models or of calling them.

A file of tasks is JSON Lines, plain or gzipped: `{"id", "prompt", "answer"}`; `question` may stand for `prompt`, and a
worked answer that ends in `#### 18` (as GSM8K's do) counts as 18. Words must be the same as the answer, but for case,
punctuation and an article before them; with `"match": "contains"` it is enough that they hold it.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from experts.errors import InputError

Kind: TypeAlias = Literal["letter", "number", "text"]
"""How an answer is read: the letter of an option, a number, or words that must be the same."""

INSTRUCTIONS: dict[Kind, str] = {
    "letter": "Answer with the letter of the right option only.",
    "number": "End your answer with the resulting number.",
    "text": "Answer with the result only, in as few words as possible.",
}
"""What is added to a prompt before it is sent; the router sees the prompt alone."""

_OPTION = re.compile(r"^\(?([A-Z])[.):]\s", re.MULTILINE)
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_SAID_LETTER = (
    re.compile(r"[Aa]nswer(?: is|:)*\s*\(?\**([A-Z])\b(?!['’])"),
    re.compile(r"^\W*([A-Z])(?:\W|$)"),
    re.compile(r"(?:option|choice)\s*\(?([A-Z])\b"),
    re.compile(r"\(([A-Z])\)"),
)
_SAID_TEXT = re.compile(r"answer(?: is|:)\s*(.+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Task:
    """One prompt and what is right."""

    id: str
    prompt: str
    answer: str
    kind: Kind
    contains: bool = False

    @property
    def asked(self) -> str:
        """What is sent: the prompt and how to answer."""
        return f"{self.prompt}\n\n{INSTRUCTIONS[self.kind]}"


@dataclass(frozen=True, slots=True)
class TaskFile:
    """The tasks of one file, and the SHA-256 of its bytes."""

    name: str
    sha256: str
    tasks: tuple[Task, ...]


def read(path: Path) -> TaskFile:
    """The tasks of a file. Blocks. Raises `InputError` with file and line for what is no task, or an id that comes twice."""
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}", remedy="Name a file of tasks.") from None
    except (EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is neither text in UTF-8 nor such a text gzipped: {error}") from None
    tasks: dict[str, Task] = {}
    for number, row in _rows(path, text):
        task = _task(path, number, row)
        if task.id in tasks:
            raise InputError(f"{path}:{number}: there are two tasks with the id {task.id!r}", remedy="Rename one.")
        tasks[task.id] = task
    if not tasks:
        raise InputError(f"there are no tasks in {path}")
    return TaskFile(path.name, hashlib.sha256(data).hexdigest(), tuple(tasks.values()))


def given(task: Task, said: str) -> str | None:
    """What a reply answers, in one form for all experts so that equal answers are equal strings; None: nothing found."""
    if task.kind == "letter":
        options = set(_OPTION.findall(task.prompt)) or {task.answer}
        found = (match for form in _SAID_LETTER for match in form.findall(said))
        return next((letter for letter in found if letter in options), None)
    if task.kind == "number":
        numbers = _NUMBER.findall(said)
        return _plain_number(numbers[-1]) if numbers else None
    lines = [line for line in said.strip().splitlines() if line.strip()]
    if not lines:
        return None
    right = _plain_text(task.answer)
    if task.contains and f" {right} " in f" {_plain_text(said)} ":
        return right
    named = _SAID_TEXT.search(said)
    return _plain_text(named.group(1) if named else lines[-1])


def score(task: Task, answer: str | None) -> float:
    """1.0 where `given` returned the right answer, else 0.0."""
    plain: dict[Kind, Callable[[str], str]] = {"letter": str, "number": _plain_number, "text": _plain_text}
    return float(answer == plain[task.kind](task.answer))


def _rows(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise InputError(f"{path}:{number}: not JSON: {error}") from None


def _task(path: Path, number: int, row: Any) -> Task:
    prompt = row.get("prompt", row.get("question")) if isinstance(row, dict) else None
    answer = row.get("answer") if isinstance(row, dict) else None
    if not isinstance(prompt, str) or not prompt.strip() or not isinstance(answer, str | int | float):
        raise InputError(
            f'{path}:{number}: a task is {{"id": text, "prompt": text, "answer": text or number}}, not {str(row)[:80]}'
        )
    text = str(answer).rpartition("####")[2].strip()
    if not text:
        raise InputError(f"{path}:{number}: the answer is empty")
    match = row.get("match", "exact")
    if match not in ("exact", "contains"):
        raise InputError(f"{path}:{number}: `match` is exact or contains, not {match!r}")
    return Task(str(row.get("id", number)), prompt, text, _kind(prompt, text), match == "contains")


def _kind(prompt: str, answer: str) -> Kind:
    if len(answer) == 1 and answer.isupper() and answer in _OPTION.findall(prompt):
        return "letter"
    return "number" if _NUMBER.fullmatch(answer) else "text"


def _plain_number(text: str) -> str:
    """`1,250.0` → `1250`: without separators of thousands and without zeros that say nothing."""
    plain = text.replace(",", "")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _plain_text(text: str) -> str:
    """Lower-case words alone, without an article before them."""
    words = re.sub(r"[^\w\s.+-]", " ", text.casefold()).strip(" .").split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in ("a", "an", "the") else words)
