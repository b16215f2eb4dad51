"""Fitting a selector for use: the model, what it scores on prompts held out, and where it came from.

Knows nothing of commands or of how outcomes are read.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from experts.errors import InputError
from router import metrics
from router.learned import HELD_OUT, Learned
from router.outcomes import Outcomes
from router.replay import Note, check, fitters, report, run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEPT = 1000
"""Held-out predictions that go into the file."""


def fitted(
    selector: str,
    outcomes: Outcomes,
    vectors: "NDArray[np.float32]",
    *,
    names: Mapping[str, str] | None = None,
    k: int = 5,
    seed: int = 0,
    command: str = "",
    now: datetime | None = None,
    note: Note = lambda text: None,
) -> tuple[Learned, dict[str, Any]]:
    """A model of all outcomes, and the report of `replay.report` on `k` folds of them.

    `names` maps recorded models to the policy's experts. Blocks for minutes on thousands of prompts. Raises
    `InputError` for selectors that cannot be fitted and for fewer rows than folds.
    """
    import numpy as np

    known = fitters()
    check([selector], known)
    replay = run([selector], outcomes, vectors, None, k=k, seed=seed, note=note)
    told = report(replay, seed=seed)
    note(f"fitting {selector} on all {len(outcomes)} prompts")
    more = {"answers": outcomes.answers} if getattr(known[selector], "LEARNS_ANSWERS", False) else {}
    learned = known[selector].fit(
        outcomes.asked(vectors).read(), outcomes.scores, list(outcomes.experts), seed=seed, **more
    )
    mine, single = told["selectors"][selector], told["baselines"]["best_single"]
    sample = np.random.default_rng(seed).permutation(len(outcomes))[:KEPT]
    held_out = {
        "folds": k,
        "accuracy": round(mine["accuracy"], 4),
        "interval": [round(mine["low"], 4), round(mine["high"], 4)],
        "best_single": round(single["accuracy"], 4),
        "squared_error": round(float(np.square(replay.predicted[selector] - outcomes.scores).mean()), 5),
        "shares": {
            name: round(part, 4)
            for name, part in metrics.shares(metrics.best(replay.predicted[selector]), outcomes.experts).items()
        },
    }
    named = tuple((names or {}).get(name, name) for name in learned.experts)
    if len(set(named)) < len(named):
        raise InputError(f"two models would have the same name: {', '.join(named)}")
    return (
        replace(
            learned,
            experts=named,
            arrays={**learned.arrays, HELD_OUT: replay.predicted[selector][sample].astype(np.float16)},
        ).came(
            data=dict(outcomes.sha256),
            rows=len(outcomes),
            command=command,
            date=(now or datetime.now(UTC)).isoformat(timespec="seconds"),
            seed=seed,
            held_out=held_out,
        ),
        told,
    )
