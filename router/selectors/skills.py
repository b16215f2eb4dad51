"""By what the prompt asks for and who is good at that: skill profiles, shrunk by evidence or exactly as Symbolic-MoE's.

The model is fitted from profiles (`madrigal experts profile`) or recorded outcomes. Its reasons name the skills. What
recruits several experts at once is `router/recruiting.py`, over the same model.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from router.card import Card
from router.learned import Learned, Predict
from router.outcomes import Asked
from router.predicted import NEEDS, LearnedParams, load_model, of_this_version
from router.recruiting import SELECTOR, Recruiter
from router.recruiting import fit as fit_recruiter
from router.selectors import Ask, Score, Selection, SelectLater
from router.tools import Tools

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

COST = "neural"
NEEDS = NEEDS
LEARNS_ANSWERS = True
"""`fit` also takes the recorded answers: the vote of recruits is learned from them."""
EXAMPLE: dict[str, object] = {}


class Params(LearnedParams):
    """A fitted model, the text it judges, and how its evidence is read."""

    variant: Literal["shrunk", "published"] = Field(
        "shrunk",
        description="shrunk: the most likely to be right; published: drawn by Symbolic-MoE's weight (arXiv 2503.05641)",
    )


def build(params: Params, experts: Sequence[Card], tools: Tools) -> SelectLater:
    """Scores are probabilities of being right (shrunk) or shares of the draw (published). Raises `ConfigError` where
    the model does not fit the decision's experts."""
    learned = load_model(params, experts, tools, SELECTOR)
    with of_this_version(learned, params.model):
        recruiter = Recruiter.of(learned)
    at = {name: i for i, name in enumerate(recruiter.experts)}
    table = recruiter.skills.table()
    embedder = tools.embedding
    assert embedder is not None, "the policy's compiler has checked it"

    async def select(ask: Ask) -> Selection:
        vector = (await embedder.embed([ask.prompt.text(params.scope)]))[0]
        names = [card.name for card in ask.candidates]
        if params.variant == "published":
            return _drawn(recruiter, names, vector, ask)
        likely = recruiter.skills.predict(vector[None])[0]
        scores = [
            Score(name, float(likely[at[name]]), recruiter.skills.reason(vector, at[name], table=table))
            for name in names
        ]
        return Selection(sorted(scores, key=lambda score: -score.score))

    return select


def fit(
    asked: Asked,
    scores: "Floats",
    experts: Sequence[str],
    *,
    seed: int = 0,
    answers: "Sequence[Sequence[str | None]] | None" = None,
) -> Learned:
    """Profiles over the shipped vocabulary of skills; with `answers` [N][E] the vote of recruits is learned too."""
    return fit_recruiter(asked, scores, experts, answers=answers, seed=seed).learned()


def predictor(learned: Learned) -> Predict:
    """Probability of being right, float64 [N, E]."""
    skills = Recruiter.of(learned).skills
    return lambda asked: skills.predict(asked.vectors)


def _drawn(recruiter: Recruiter, names: Sequence[str], vector: "NDArray[Any]", ask: Ask) -> Selection:
    """One drawn by its published weight, the rest by falling weight; all alike where no skill is known."""
    weights = recruiter.published_weights(vector[None])[0]
    places = [recruiter.experts.index(name) for name in names]
    shares = [1.0 if weights is None else float(weights[place]) for place in places]
    total = sum(shares)
    shares = [share / total if total else 1 / len(shares) for share in shares]
    point, first = ask.random(), 0
    for place, share in enumerate(shares):
        if share > 0:
            first = place
            if point < share:
                break
            point -= share
    order = [first, *sorted((i for i in range(len(names)) if i != first), key=lambda i: -shares[i])]
    scores = [Score(names[i], shares[i], f"published weight {shares[i]:.3f}") for i in order]
    return Selection(scores, propensity=shares[first])
