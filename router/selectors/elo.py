"""By rating: every two experts that did unlike on a prompt have played a game. Knows nothing of the request.

Ratings are the maximum-likelihood ones of the Bradley–Terry model on Elo's scale (400 points: odds of ten to one),
which unlike running updates do not depend on the order of games (Chiang et al. 2024, arXiv 2403.04132).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from experts.errors import ConfigError
from experts.spec import Frozen, Name
from router.card import Card
from router.learned import Learned, Predict, load
from router.outcomes import Asked
from router.predicted import of_this_version
from router.selectors import Ask, Score, Select, Selection
from router.tools import Tools

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

COST = "cheap"
NEEDS: frozenset[str] = frozenset()
EXAMPLE = {"ratings": {"a": 1050, "b": 980}}

MEAN = 1000.0
_SCALE = 400.0
_PRIOR_DRAWS = 1.0
"""Draws that every two experts are taken to have played, so that who won every game has a rating too."""


class Params(Frozen):
    """Ratings as written here, or those of a fitted model."""

    ratings: Mapping[Name, float] = Field(
        default_factory=dict, description="rating per expert; one that is not named has 1000"
    )
    model: str | None = Field(None, description="file written by `madrigal router fit --selector elo`, instead")


def build(params: Params, experts: Sequence[Card], tools: Tools) -> Select:
    """Scores are ratings; equals keep the decision's order. Raises `ConfigError` for ratings of experts that the
    decision does not use, and where the model does not fit."""
    names = [card.name for card in experts]
    if strangers := [name for name in params.ratings if name not in names]:
        raise ConfigError(
            f"ratings are given for {', '.join(strangers)}, which the decision does not use",
            remedy=f"It uses {', '.join(names)}.",
        )
    ratings = {name: params.ratings.get(name, MEAN) for name in names}
    if params.model is not None:
        learned = load(tools.folder / params.model, selector="elo", experts=names)
        with of_this_version(learned, params.model):
            fitted = dict(zip(learned.experts, learned.arrays["ratings"].tolist(), strict=True))
        ratings = {name: params.ratings.get(name, fitted[name]) for name in names}

    def select(ask: Ask) -> Selection:
        scores = [Score(c.name, ratings[c.name], f"rating {ratings[c.name]:.0f}") for c in ask.candidates]
        return Selection(sorted(scores, key=lambda score: -score.score))

    return select


def fit(asked: Asked, scores: "Floats", experts: Sequence[str], *, seed: int = 0) -> Learned:
    """Ratings from every pair of experts on every prompt; equal scores are no game."""
    import numpy as np

    wins = np.stack([(scores[:, [i]] > scores).sum(axis=0) for i in range(len(experts))]).astype(np.float64)  # [E, E]
    return Learned("elo", tuple(experts), {"ratings": ratings_of(wins)}, {})


def predictor(learned: Learned) -> Predict:
    """The same ratings for every prompt, float64 [N, E]."""
    import numpy as np

    ratings = learned.arrays["ratings"]
    return lambda asked: np.broadcast_to(ratings, (len(asked), len(ratings)))


def ratings_of(wins: "Floats") -> "Floats":
    """Ratings [E] around 1000; `wins[i, j]` counts how often i beat j. By Hunter's MM steps (2004), to 0.001 points."""
    import numpy as np

    games = wins + _PRIOR_DRAWS / 2
    np.fill_diagonal(games, 0.0)
    total = games + games.T
    strength = np.ones(len(games))
    for _ in range(10_000):
        new = games.sum(axis=1) / (total / (strength[:, None] + strength + np.eye(len(games)))).sum(axis=1)
        new /= np.exp(np.log(new).mean())
        moved = np.abs(np.log(new / strength)).max()
        strength = new
        if moved * _SCALE / np.log(10) < 1e-3:
            break
    made: Floats = MEAN + _SCALE * np.log10(strength)
    return made
