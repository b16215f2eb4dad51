"""Which skills a prompt needs: named by a language model as Symbolic-MoE does, or read off its embedding.

Knows nothing of experts' results. The language model and the embeddings are handed in.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Ask = Callable[[str, float], Awaitable[str]]
"""One user turn and a sampling temperature, to what the annotator says."""

PROMPT = """Which skills are needed to answer the question below? Name 2 to 5 of them as short keywords (one or two \
words each, for example: algebra, cell biology, contract law). Write only the keywords, separated by commas.

Question: {question}

Skills:"""
TIMES = 5
TEMPERATURE = 0.7
LONGEST = 20
"""Keywords of more characters are no keywords (arXiv 2503.05641, appendix)."""
SPREAD = 0.2
"""Temperature of `shares`: the cosine by which one skill must be nearer to count e times as much. Chosen by
cross-validation on Symbolic-MoE's 349 profile items of MMLU-Pro: 0.1, 0.15 and 0.2 differ by 0.002 in log loss."""

_MARKS = re.compile(r"^[\s\-*•\d.)(:]+|[\s.;:)*]+$")


def vocabulary() -> dict[str, str]:
    """The skills shipped with Madrigal, each with the text to embed for it. Reads a file."""
    import yaml

    words = yaml.safe_load((Path(__file__).parent / "skill_vocabulary.yaml").read_text(encoding="utf-8"))
    return {name: f"{name}: {text}" for name, text in words.items()}


async def annotate(
    prompts: Sequence[str],
    ask: Ask,
    *,
    times: int = TIMES,
    temperature: float = TEMPERATURE,
    concurrency: int = 8,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[tuple[str, ...]]:
    """The skills that an annotator names for each prompt: asked `times` times, those it repeats are kept.

    Symbolic-MoE's annotation (arXiv 2503.05641, section 3.1), there by Qwen2.5-7B. A prompt may end up with none.
    Raises what `ask` raises.
    """
    gate = asyncio.Semaphore(concurrency)
    done = 0

    async def one(prompt: str) -> tuple[str, ...]:
        nonlocal done
        async with gate:
            said = [await ask(PROMPT.format(question=prompt), temperature) for _ in range(times)]
        done += 1
        progress(done, len(prompts))
        return agreed([keywords(text) for text in said])

    return list(await asyncio.gather(*(one(prompt) for prompt in prompts)))


def keywords(said: str) -> list[str]:
    """The keywords of one answer, lower-case, in its order, without numbering and without those that are too long."""
    parts = (_MARKS.sub("", part).lower() for part in re.split(r"[,;\n]", said))
    return list(dict.fromkeys(part for part in parts if 0 < len(part) <= LONGEST))


def agreed(samples: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Keywords that more than one sample names, the most frequent first; equals keep their order."""
    counts = Counter(word for sample in samples for word in dict.fromkeys(sample))
    return tuple(word for word, times in counts.most_common() if times > 1)


def nearest(
    vectors: "NDArray[np.float32]",
    skills: "NDArray[np.float32]",
    names: Sequence[str],
    *,
    least: int = 2,
    most: int = 5,
) -> list[tuple[str, ...]]:
    """With no language model at hand: the `least` to `most` skills nearest to each prompt, the nearest first.

    Past `least` a skill must be as near as 0.8 times the nearest. Vectors float32 [N, D] and [S, D], unit length.
    """
    import numpy as np

    like = vectors @ skills.T  # [N, S]
    order = np.argsort(-like, axis=1, kind="stable")[:, :most]
    found = []
    for row, places in zip(like, order, strict=True):
        near = [s for i, s in enumerate(places) if i < least or row[s] >= 0.8 * row[places[0]]]
        found.append(tuple(names[s] for s in near))
    return found


def shares(
    vectors: "NDArray[np.float32]", skills: "NDArray[np.float32]", spread: float = SPREAD
) -> "NDArray[np.float64]":
    """How much of each prompt falls to each skill: float64 [N, S], rows sum to 1. Vectors as in `nearest`."""
    import numpy as np

    like = (vectors @ skills.T).astype(np.float64) / spread  # [N, S]
    like -= like.max(axis=1, keepdims=True)
    shares: NDArray[np.float64] = np.exp(like)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def known_skills(annotated: Sequence[Sequence[str]]) -> dict[str, str]:
    """A vocabulary out of annotations: every skill named, with itself as the text to embed."""
    return {word: word for words in annotated for word in words}


def counted(annotated: Sequence[Sequence[str]], names: Mapping[str, int]) -> "NDArray[np.float64]":
    """Annotations as a table: float64 [N, S], 1 where the prompt needs the skill; skills not in `names` are left out."""
    import numpy as np

    table = np.zeros((len(annotated), len(names)))
    for row, words in enumerate(annotated):
        for word in words:
            if word in names:
                table[row, names[word]] = 1.0
    return table
