"""What fitting selectors shares: folds, choosing a setting by cross-validation, columns of features.

Knows nothing of files or of particular selectors. Everything is seeded; nothing is chosen by looking at what will be
routed later.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from experts.errors import InputError
from router.outcomes import Asked
from router.traits import traits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Setting = TypeVar("Setting")


def folds(n: int, k: int, seed: int = 0) -> "Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]":
    """`k` times the rows to fit on and the rows held out, both sorted; every row is held out once.

    Raises `InputError` for fewer rows than folds.
    """
    import numpy as np

    if not 2 <= k <= n:
        raise InputError(f"{k} folds need at least {k} rows, and there must be two or more; there are {n} rows")
    order = np.random.default_rng(seed).permutation(n)
    for i in range(k):
        held = np.sort(order[i::k])
        yield np.setdiff1d(np.arange(n), held), held


def chosen(
    asked: Asked,
    scores: "Floats",
    settings: Sequence[Setting],
    predicted: "Callable[[Asked, Floats, Asked, Sequence[Setting]], Sequence[Floats]]",
    *,
    by: Literal["error", "choice"] = "error",
    k: int = 5,
    seed: int = 0,
) -> Setting:
    """The setting whose predictions are nearest over `k` folds to what tells experts apart, the first of equals; or,
    `by` choice, the one whose choices score best.

    The score of choices jumps with every tie, and says nothing of order where one of two experts nearly always wins:
    squared error is the steadier guide. `predicted(fit on, its scores, held out, settings)` gives a float64 [M, E]
    for each setting. With fewer than two rows a fold the first setting is taken.
    """
    import numpy as np

    if len(settings) == 1 or len(scores) < 2 * k:
        return settings[0]
    error = np.zeros(len(settings))
    for fit, held in folds(len(scores), k, seed):
        for i, guess in enumerate(predicted(asked.take(fit), scores[fit], asked.take(held), settings)):
            if by == "error":
                error[i] += np.square(centred(guess - scores[held])).sum()
            else:
                error[i] -= scores[held][np.arange(len(held)), guess.argmax(axis=1)].sum()
    return settings[int(error.argmin())]


def centred(scores: "Floats") -> "Floats":
    """Scores less the mean of their row: what tells experts apart, without how hard a prompt is."""
    return scores - scores.mean(axis=1, keepdims=True)  # type: ignore[no-any-return]


def _form(asked: Asked) -> "NDArray[np.float32]":
    return traits(asked.prompts) if asked.form is None else asked.form


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Traits, and the embedding turned to its main axes: float32 columns, cut at five deviations.

    `axes` [D, P] and `centre` [D] turn vectors; `mean` and `spread` [traits + P] standardise; traits come first. All
    axes are divided by the same number: a direction in which texts hardly differ stays a small one.
    """

    axes: "NDArray[np.float32]"
    centre: "NDArray[np.float32]"
    mean: "NDArray[np.float32]"
    spread: "NDArray[np.float32]"

    @classmethod
    def fit(cls, asked: Asked, most: int) -> "Columns":
        """At most `most` axes, those along which the vectors vary most."""
        import numpy as np

        centre = asked.vectors.mean(axis=0)
        turned = (asked.vectors - centre).astype(np.float64)
        _, vectors = np.linalg.eigh(turned.T @ turned)  # rising
        axes = np.ascontiguousarray(vectors[:, ::-1][:, :most].astype(np.float32))
        raw = np.hstack([_form(asked), (asked.vectors - centre) @ axes])
        spread = raw.std(axis=0)
        spread[-axes.shape[1] :] = np.sqrt(np.square(spread[-axes.shape[1] :]).mean())
        return cls(axes, centre, raw.mean(axis=0), spread + np.float32(1e-6))

    def __call__(self, asked: Asked) -> "NDArray[np.float32]":
        """float32 [N, traits + P]."""
        import numpy as np

        raw = np.hstack([_form(asked), (asked.vectors - self.centre) @ self.axes])
        made: NDArray[np.float32] = np.clip((raw - self.mean) / self.spread, -5, 5)
        return made

    def arrays(self) -> "dict[str, NDArray[Any]]":
        """What `of` reads again."""
        return {"axes": self.axes, "centre": self.centre, "mean": self.mean, "spread": self.spread}

    @classmethod
    def of(cls, arrays: "Any") -> "Columns":
        """Those of a saved model."""
        return cls(*(arrays[name] for name in ("axes", "centre", "mean", "spread")))
