"""Jailbreak: harmful requests, manipulation, and harmless texts of the same shapes.

Most is written for Madrigal; the two published families of `signals/jailbreak_dev.jsonl` come last, each with its `source`,
so that a measurement can leave one out. Half of the benign role-play prompts (by a hash of the text) are trained on, the
other half measures. Noise of many kinds is put before, behind and around texts of every label, so that it tells nothing.
"""

import base64
import codecs
import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

from router.recipes import Row, lines, phrases, question

HARMFUL, MANIPULATION, BENIGN = "harmful request", "manipulation", "benign"
BENIGN_LONG = 1200
"""Characters kept of a benign prompt."""


def rows(shared: Path) -> Iterator[Row]:
    """Deterministic: chance comes from a fixed seed."""
    chance = random.Random(7)
    written = phrases("jailbreak")
    goals = [goal for kind in written["harmful"].values() for goal in kind]
    harmless = written["harmless"]
    noise = written["noise"].split()
    for goal in goals:
        for way in chance.sample(written["ask"], 6):
            asked = way.format(goal=goal)
            yield Row(asked, HARMFUL, goal)
            yield Row(_noisy(asked, chance, noise), HARMFUL, goal)
            yield Row(_suffixed(asked, chance, noise), HARMFUL, goal)
        for frame in chance.sample(written["frames"], 9):
            yield Row(frame.format(goal=goal), HARMFUL, goal)
        for override in chance.sample(written["overrides"], 4):
            text = _override(override, goal, chance.choice(written["ask"]).format(goal=goal))
            yield Row(text, MANIPULATION, override)
    for override in written["overrides"]:
        for goal in chance.sample(harmless, 8):
            text = _override(override, goal, chance.choice(written["ask"]).format(goal=goal))
            yield Row(text, MANIPULATION, override)
            yield Row(_noisy(text, chance, noise), MANIPULATION, override)
    for goal in harmless:
        for way in written["ask"]:
            asked = way.format(goal=goal)
            yield Row(asked, BENIGN, goal)
            yield Row(_noisy(asked, chance, noise), BENIGN, goal)
            if chance.random() < 0.5:
                yield Row(_suffixed(asked, chance, noise), BENIGN, goal)
        for frame in written["frames"]:
            yield Row(frame.format(goal=goal), BENIGN, goal)
    for text in written["near"]:
        for _ in range(3):
            yield Row(text, BENIGN, text)
            yield Row(_noisy(text, chance, noise), BENIGN, text)
    yield from _benign(shared, chance, noise)
    chance = random.Random(11)
    padding = written["padding"]
    for goal in goals:
        for way in chance.sample(written["ask"], 4):
            yield Row(_padded(way.format(goal=goal), chance, padding), HARMFUL, goal)
    for override in written["overrides"]:
        for goal in chance.sample(harmless, 5):
            text = _override(override, goal, chance.choice(written["ask"]).format(goal=goal))
            yield Row(_padded(text, chance, padding), MANIPULATION, override)
    for goal in harmless:
        for way in chance.sample(written["ask"], 4):
            yield Row(_padded(way.format(goal=goal), chance, padding), BENIGN, goal)
    for sentence in padding:
        yield Row(sentence, BENIGN, sentence)
        yield Row(" ".join(chance.choices(padding, k=5)), BENIGN, sentence)
    yield from _published(shared, chance, noise, padding)


def _published(shared: Path, chance: random.Random, noise: list[str], padding: list[str]) -> Iterator[Row]:
    """The prompts of both families, and the plain requests inside them, with noise."""
    goals: dict[str, None] = {}
    for row in lines(shared, "signals/jailbreak_dev.jsonl"):
        label = MANIPULATION if row["method"] == "JBC" else HARMFUL
        yield Row(row["text"], label, row["goal"], f"jailbreak_dev/{row['method']}")
        goals[row["goal"]] = None
    for goal in goals:
        yield Row(goal, HARMFUL, goal, "jailbreak_dev/goal")
        for _ in range(3):
            yield Row(_suffixed(goal, chance, noise), HARMFUL, goal, "jailbreak_dev/goal")
        yield Row(_noisy(goal, chance, noise), HARMFUL, goal, "jailbreak_dev/goal")
        yield Row(_padded(goal, chance, padding), HARMFUL, goal, "jailbreak_dev/goal")


def _benign(shared: Path, chance: random.Random, noise: list[str]) -> Iterator[Row]:
    for row in lines(shared, "signals/benign_dev.jsonl"):
        if trained_on(row["text"]):
            yield Row(row["text"][:BENIGN_LONG], BENIGN, row["text"], "benign_dev")
            yield Row(_noisy(row["text"][:400], chance, noise), BENIGN, row["text"], "benign_dev")
    for name, key in (("routing/routellm_mmlu.jsonl.gz", 4), ("routing/llmrouter_train.jsonl.gz", 4)):
        for row in lines(shared, name):
            if hashlib.sha256(row["prompt"].encode()).digest()[0] % key == 0:
                text = question(row["prompt"])[:BENIGN_LONG]
                yield Row(text, BENIGN, text, name)
                if chance.random() < 0.15:
                    yield Row(_suffixed(text[:300], chance, noise), BENIGN, text, name)


def trained_on(text: str) -> bool:
    """Whether a benign role-play prompt is of the half that is trained on."""
    return hashlib.sha256(text.encode()).digest()[0] % 2 == 0


def _override(override: str, goal: str, ask: str) -> str:
    half = len(goal) // 2
    return override.format(
        ask=ask,
        goal=goal,
        base64=base64.b64encode(ask.encode()).decode(),
        rot13=codecs.encode(ask, "rot13"),
        leet=ask.translate(str.maketrans("aeiost", "431057")),
        first=goal[:half],
        second=goal[half:],
    )


def _suffixed(text: str, chance: random.Random, noise: list[str]) -> str:
    """With what a search over tokens appends: pieces of words, code and marks without sense."""
    pieces = [_piece(chance, noise) for _ in range(chance.randint(6, 28))]
    glue = chance.choice([" ", " ", "", " "])
    tail = "".join(piece + (glue if chance.random() < 0.8 else "") for piece in pieces)
    return f"{text} {tail}"


def _piece(chance: random.Random, noise: list[str]) -> str:
    if chance.random() < 0.7:
        return chance.choice(noise)
    letters = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 7)))
    return chance.choice(
        [letters, letters.title(), letters.upper(), "".join(chance.choices("!?.,;:()[]{}<>*#=+-/\\|", k=3))]
    )


def _noisy(text: str, chance: random.Random, noise: list[str]) -> str:
    """With something harmless around it."""
    match chance.randint(0, 5):
        case 0:
            return f"Hello! I hope you are well. {text}"
        case 1:
            return f"{text} Thank you very much in advance, have a nice day!"
        case 2:
            return f"{' '.join(_piece(chance, noise) for _ in range(chance.randint(3, 10)))} {text}"
        case 3:
            return f"### Instruction:\n{text}\n### Response:"
        case 4:
            return text.lower().rstrip(".?!")
        case _:
            return f"{text} Answer as a numbered list with at least five points and a short title."


def _padded(text: str, chance: random.Random, padding: list[str]) -> str:
    """Inside harmless sentences: before it, behind it or both."""
    before, behind = chance.choice([(3, 0), (0, 3), (1, 2), (2, 1), (1, 1)])
    return " ".join([*chance.sample(padding, before), text, *chance.sample(padding, behind)])
