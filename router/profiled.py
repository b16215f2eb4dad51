"""Measured profiles (`experts/profile.py`) as recorded outcomes, which is what selectors are fitted on. Knows no selector."""

import hashlib
from pathlib import Path

from experts.errors import InputError
from experts.profile import Profiles
from router.outcomes import Outcomes
from router.skill_annotation import known_skills


def outcomes(profiles: Profiles, path: Path) -> Outcomes:
    """The tasks that every expert of the file has answered, in the file's order. `path` is read for its SHA-256.

    Raises `InputError` where there is no such task.
    """
    import numpy as np

    records = list(profiles.experts.values())
    tasks = [task for task in profiles.tasks.values() if records and all(task.id in r.outcomes for r in records)]
    if not tasks:
        raise InputError(
            f"{path} holds no task that all of its experts have answered",
            remedy="Measure them on the same tasks: madrigal experts profile NAME… --tasks FILE -o " + path.name,
        )
    return Outcomes(
        ids=tuple(task.id for task in tasks),
        prompts=tuple(task.prompt for task in tasks),
        experts=tuple(profiles.experts),
        scores=np.array([[r.outcomes[task.id].score for r in records] for task in tasks]),
        groups=(None,) * len(tasks),
        splits=(None,) * len(tasks),
        answers=tuple(tuple(r.outcomes[task.id].answer for r in records) for task in tasks),
        truth=tuple(task.answer for task in tasks),
        sha256={path.name: hashlib.sha256(path.read_bytes()).hexdigest()},
    )


def vocabulary(profiles: Profiles) -> dict[str, str]:
    """The skills an annotator named for the tasks, each with the text to embed; empty where none was asked."""
    return known_skills([words for _, words in sorted(profiles.skills.items())])
