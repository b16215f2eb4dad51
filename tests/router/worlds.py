"""A small world of recorded outcomes whose best routing is known: three kinds of prompts, three experts."""

from collections.abc import Sequence

import numpy as np

from router.outcomes import Outcomes

EXPERTS = ("poet", "mathematician", "coder")
KINDS = {
    "verse": "Sing of the {} river and the {} moon, gently",
    "sums": "What is {} plus {} times 12?",
    "code": "def f(x):\n    return x + {}  # {} in python",
}
WORDS = ("red", "old", "deep", "cold", "wide", "green", "late", "young")


def world(n: int, seed: int = 0, *, experts: Sequence[str] = EXPERTS) -> tuple[Outcomes, np.ndarray]:
    """Each expert is right on 90% of its own kind and on 30% of the others; vectors [n, 384] show the kind, dimly."""
    random = np.random.default_rng(seed)
    kinds = random.integers(0, 3, n)
    axes = np.linalg.qr(np.random.default_rng(99).normal(size=(384, 3)))[0].T  # [3, D], the same in every world
    vectors = axes[kinds] + 0.05 * random.normal(size=(n, 384))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    right = np.where(np.arange(3) == kinds[:, None], 0.9, 0.3)
    scores = (random.random((n, 3)) < right).astype(float)
    templates = list(KINDS.values())
    prompts = tuple(templates[k].format(*random.choice(WORDS, 2)) + f" ({i})" for i, k in enumerate(kinds))
    return Outcomes(
        ids=tuple(map(str, range(n))),
        prompts=prompts,
        experts=tuple(EXPERTS),
        scores=scores,
        groups=tuple(list(KINDS)[k] for k in kinds),
        splits=(None,) * n,
        truth=(None,) * n,
    ).pool(experts), vectors.astype(np.float32)
