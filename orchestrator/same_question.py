"""Whether two questions that lie near each other in meaning ask the same: no embedding can tell "enable" from "disable".

Pure and strict: whatever is not known to say the same is taken for a difference, as a wrong answer out of a cache costs more
than a call.
"""

import re
from collections import Counter

_WORD = re.compile(r"[^\W_]+(?:['’][a-z]+)?|(?<!\w)[+\-]|[*/=<>%$€£°]")


def difference(one: str, other: str) -> str | None:
    """In what two questions differ, in a few words; None where they ask the same."""
    a, b = (Counter(word.lower() for word in _WORD.findall(text)) for text in (one, other))
    return None if a == b else "they are worded differently"
