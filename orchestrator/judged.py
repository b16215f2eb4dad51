"""The judged answers of the log, as learning needs them. Knows nothing of how is learned."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from orchestrator.store.models import feedback, requests
from orchestrator.store.store import Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer that somebody has judged. `text` and `vector` are there as far as the log kept them."""

    request_id: str
    expert: str
    score: float
    propensity: float
    text: str | None
    vector: "NDArray[np.float32] | None"


async def judged(store: Store, *, since: datetime | None = None) -> list[Judged]:
    """Every judged answer of a single call by the expert put first, oldest first. Raises `StoreError`.

    An answer after a fallback is left out: the propensity in the log is that of another expert.
    """
    import numpy as np

    query = (
        sa.select(
            requests.c.id,
            requests.c.expert,
            feedback.c.score,
            requests.c.propensity,
            requests.c.text,
            requests.c.embedding,
            requests.c.features,
        )
        .join(feedback, feedback.c.request_id == requests.c.id)
        .where(requests.c.expert.is_not(None), requests.c.propensity.is_not(None))
        .order_by(requests.c.created_at, requests.c.id)
    )
    if since is not None:
        query = query.where(requests.c.created_at >= since)
    async with store.reading() as connection:
        rows = (await connection.execute(query)).all()
    return [
        Judged(
            row.id,
            row.expert,
            float(row.score),
            float(row.propensity),
            row.text,
            np.frombuffer(row.embedding, "<f4").astype(np.float32) if row.embedding else None,
        )
        for row in rows
        if (row.features or {}).get("first") in (None, row.expert)
    ]
