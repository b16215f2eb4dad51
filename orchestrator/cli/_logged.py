"""The request log as outcomes to fit on. Knows no command."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from experts.errors import InputError
from orchestrator.cli._common import err

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.judged import Judged
    from router.outcomes import Outcomes


def from_log(
    selector: str, store: str | None, config: Path, pool: str | None
) -> tuple["Outcomes", "NDArray[np.float32]"]:
    """Judged answers as a full table of estimated scores (see `router.logged`), and the prompts' vectors. Blocks.

    Only knn can be fitted where the log holds vectors but no text, as others read the words. Raises `InputError`
    where there is too little to learn from.
    """
    import numpy as np

    from orchestrator.cli._store import with_store
    from orchestrator.judged import judged
    from router.logged import estimated
    from router.outcomes import Outcomes
    from router.vectors import vectors

    rows = with_store(store, config, judged)
    wanted = [name.strip() for name in pool.split(",")] if pool is not None else sorted({row.expert for row in rows})
    texts = [_prompt(row) for row in rows]
    usable = [
        at
        for at, row in enumerate(rows)
        if row.expert in wanted and (texts[at] is not None or (selector == "knn" and row.vector is not None))
    ]
    if not usable:
        raise InputError(
            f"the log holds {len(rows)} judged answers, none of which {selector} can learn from",
            remedy="Keep text (`store: {keep: text}`), or fit knn on decisions that route by a learned selector; and "
            "have answers judged at /v1/feedback.",
        )
    if len(usable) < len(rows):
        err().print(f"{len(rows) - len(usable)} of {len(rows)} judged answers cannot be used")
    rows, prompts = [rows[at] for at in usable], [texts[at] or "" for at in usable]
    known = [row.vector for row in rows]
    made = vectors([p for p, v in zip(prompts, known, strict=True) if v is None])
    new = iter(made)
    table = np.stack([next(new) if vector is None else vector for vector in known])
    scores = estimated(
        table,
        np.array([wanted.index(row.expert) for row in rows]),
        np.array([row.score for row in rows]),
        np.array([row.propensity for row in rows]),
        len(wanted),
    )
    blank: tuple[str | None, ...] = (None,) * len(rows)
    ids = tuple(row.request_id for row in rows)
    source = {"request log": hashlib.sha256("\n".join(ids).encode()).hexdigest()}
    made_of = Outcomes(
        ids, tuple(prompts), tuple(wanted), scores, groups=blank, splits=blank, truth=blank, sha256=source
    )
    return made_of, table


def _prompt(row: "Judged") -> str | None:
    """What the users said, as selectors read it; None where the log kept no text."""
    from router.prompt import Prompt

    if row.text is None:
        return None
    try:
        asked = json.loads(row.text)
    except ValueError:  # cut off where the log keeps no more
        return None
    chat = isinstance(asked, list) and bool(asked) and isinstance(asked[0], dict)
    return Prompt.from_chat({"messages": asked} if chat else {"prompt": asked}).user_text
