"""Jailbreak: harmful requests, manipulation, and harmless texts of the same shapes.

Most is written for Madrigal; the two published families of `signals/jailbreak_dev.jsonl` come last, each with its `source`,
so that a measurement can leave one out (`tests/bench/jailbreak.py`). Half of the benign role-play prompts (by a hash of the text) are trained on, the
other half measures. Noise of many kinds is put before, behind and around texts of every label, so that it tells nothing.
"""

import base64
import codecs
import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from router.reading import sentences
from router.recipes import Row, lines, phrases, question

HARMFUL, MANIPULATION, BENIGN = "harmful request", "manipulation", "benign"
BENIGN_LONG = 1200
"""Characters kept of a benign prompt."""
BENIGN_SENTENCES = 12
"""Sentences kept of a benign prompt, beside the whole: the signal reads suspect sentences alone."""
WRITTEN_NOISE = 500
"""So many of the pieces of noise, the first, are words and marks picked by hand; the others are words of exam questions."""
QUESTIONS = ("routing/routellm_mmlu.jsonl.gz", "routing/llmrouter_train.jsonl.gz")


def rows(shared: Path) -> Iterator[Row]:
    """Deterministic: chance comes from each phrase itself, so that a new phrase changes no row of another."""
    written = phrases("jailbreak")
    goals = [goal for kind in written["harmful"].values() for goal in kind]
    harmless = written["harmless"]
    words = [*written["noise"].split(), *_vocabulary(shared)]
    for goal in goals:
        yield from _harmful(goal, written, words)
    for override in written["overrides"]:
        chance = random.Random(override)
        for goal in chance.sample(harmless, 8):
            text = _override(override, goal, chance.choice(_ways(goal, written)).format(goal=goal))
            yield Row(text, MANIPULATION, override)
            if chance.random() < 0.5:
                yield Row(_noisy(text, chance, words), MANIPULATION, override)
            if chance.random() < 0.3:
                yield Row(_padded(text, chance, written["padding"]), MANIPULATION, override)
    for goal in harmless:
        yield from _harmless(goal, written, words)
    for text in written["near"]:
        chance = random.Random(text)
        yield Row(text, BENIGN, text)
        yield Row(_noisy(text, chance, words), BENIGN, text)
        yield Row(_suffixed(text, chance, words), BENIGN, text)
    for role, mine, yours in written["roles"]:
        chance = random.Random(role)
        for play in written["plays"]:
            yield Row(play.format(role=role, mine=mine, yours=yours, goal=chance.choice(harmless)), BENIGN, role)
    for sentence in written["padding"]:
        yield Row(sentence, BENIGN, sentence)
        yield Row(" ".join(random.Random(sentence).choices(written["padding"], k=5)), BENIGN, sentence)
    yield from _benign(shared, words)
    yield from _published(shared, written, words)


def _ways(goal: str, written: dict[str, Any]) -> list[str]:
    """How a goal may be asked for: a thing ("a plan for …") otherwise than a deed ("steal …")."""
    ways: list[str] = written["things" if _is_thing(goal) else "ask"]
    return ways


def _frames(goal: str, written: dict[str, Any]) -> list[str]:
    frames: list[str] = written["thing_frames" if _is_thing(goal) else "frames"]
    return frames


def _is_thing(goal: str) -> bool:
    return goal.startswith(("a ", "an "))


def _sample(items: list[str], number: int, chance: random.Random) -> list[str]:
    """So many of the items at random, all of them more than once where they are fewer."""
    whole, rest = divmod(number, len(items))
    return [*(items * whole), *chance.sample(items, rest)]


def _harmful(goal: str, written: dict[str, Any], words: list[str]) -> Iterator[Row]:
    chance = random.Random(goal)
    asked = [way.format(goal=goal) for way in _sample(_ways(goal, written), 7, chance)]
    for text in asked[:4]:
        yield Row(text, HARMFUL, goal)
    for text in [*asked[:2], asked[4]]:
        yield Row(_suffixed(text, chance, words), HARMFUL, goal)
    yield Row(_noisy(asked[5], chance, words), HARMFUL, goal)
    yield Row(_padded(asked[6], chance, written["padding"]), HARMFUL, goal)
    for frame in _sample(_frames(goal, written), 4, chance):
        yield Row(frame.format(goal=goal), HARMFUL, goal)
    for override in chance.sample(written["overrides"], 2):
        yield Row(_override(override, goal, asked[0]), MANIPULATION, override)


def _harmless(goal: str, written: dict[str, Any], words: list[str]) -> Iterator[Row]:
    chance = random.Random(goal)
    asked = [way.format(goal=goal) for way in _sample(_ways(goal, written), 12, chance)]
    for text in asked[:7]:
        yield Row(text, BENIGN, goal)
    for text in [*asked[:3], asked[7]]:
        yield Row(_suffixed(text, chance, words), BENIGN, goal)
    for text in asked[8:10]:
        yield Row(_noisy(text, chance, words), BENIGN, goal)
    for text in asked[10:]:
        yield Row(_padded(text, chance, written["padding"]), BENIGN, goal)
    for frame in _sample(_frames(goal, written), 12, chance):
        yield Row(frame.format(goal=goal), BENIGN, goal)


def _published(shared: Path, written: dict[str, Any], words: list[str]) -> Iterator[Row]:
    """The prompts of both families, and the plain requests inside them, with noise."""
    goals: dict[str, None] = {}
    for row in lines(shared, "signals/jailbreak_dev.jsonl"):
        label = MANIPULATION if row["method"] == "JBC" else HARMFUL
        yield Row(row["text"], label, row["goal"], f"jailbreak_dev/{row['method']}")
        goals[row["goal"]] = None
    for goal in goals:
        chance, source = random.Random(goal), "jailbreak_dev/goal"
        yield Row(goal, HARMFUL, goal, source)
        for _ in range(3):
            yield Row(_suffixed(goal, chance, words), HARMFUL, goal, source)
        for override in chance.sample(written["overrides"], 2):
            yield Row(_override(override, goal, goal), MANIPULATION, goal, source)
        yield Row(_noisy(goal, chance, words), HARMFUL, goal, source)
        yield Row(_padded(goal, chance, written["padding"]), HARMFUL, goal, source)


def _benign(shared: Path, words: list[str]) -> Iterator[Row]:
    for row in lines(shared, "signals/benign_dev.jsonl"):
        text = row["text"]
        if trained_on(text):
            chance = random.Random(text)
            yield Row(text[:BENIGN_LONG], BENIGN, text, "benign_dev")
            yield Row(_noisy(text[:400], chance, words), BENIGN, text, "benign_dev")
            yield Row(_suffixed(text[:150], chance, words), BENIGN, text, "benign_dev")
            for sentence in sentences(text)[:BENIGN_SENTENCES]:
                yield Row(sentence, BENIGN, text, "benign_dev")
    for name in QUESTIONS:
        for row in lines(shared, name):
            if question_trained_on(row["prompt"]):
                text = question(row["prompt"])[:BENIGN_LONG]
                chance = random.Random(text)
                yield Row(text, BENIGN, text, name)
                if chance.random() < 0.15:
                    yield Row(_suffixed(text[:300], chance, words), BENIGN, text, name)
                if len(found := sentences(text)) > 1:
                    yield Row(chance.choice(found), BENIGN, text, name)


def _vocabulary(shared: Path) -> list[str]:
    """Words of the benign questions that are trained on, each once: what noise is made of beside the written marks."""
    found: dict[str, None] = {}
    for row in lines(shared, QUESTIONS[0]):
        if question_trained_on(row["prompt"]):
            found.update(dict.fromkeys(row["prompt"].split()))
    return sorted(word for word in found if 2 < len(word) < 12)


def question_trained_on(prompt: str) -> bool:
    """Whether a question is of the quarter that is trained on."""
    return hashlib.sha256(prompt.encode()).digest()[0] % 4 == 0


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
        backwards=" ".join(reversed(ask.split())),
    )


def _suffixed(text: str, chance: random.Random, noise: list[str]) -> str:
    """With what a search over tokens appends: pieces of words, code and marks without sense."""
    glued = chance.choice([0.05, 0.2, 0.5])
    tail = "".join(
        _piece(chance, noise) + ("" if chance.random() < glued else " ") for _ in range(chance.randint(6, 28))
    )
    return f"{text} {tail}"


def _piece(chance: random.Random, noise: list[str]) -> str:
    if chance.random() < 0.75:
        word = chance.choice(noise if chance.random() < 0.6 else noise[:WRITTEN_NOISE])
        cut = chance.randint(0, len(word)) if chance.random() < 0.2 else len(word)
        return chance.choice([word, word, word, word.title(), word.upper()])[:cut] or word
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
