"""Who answered each conversation last: a bounded memory of this process that forgets with time.

Knows nothing of HTTP: `router/session.py` says under what a conversation is known and when that matters.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

from router.prompt import Prompt
from router.session import Previous, fingerprint, fingerprint_before
from router.spec import SessionSpec

MOST = 20_000
"""Conversations remembered; the one unused for longest makes room."""


class Sessions:
    """Answerers of conversations. Losing one is no error: its next request is routed by its signals."""

    def __init__(self, *, most: int = MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._known: OrderedDict[bytes, tuple[float, Previous]] = OrderedDict()

    def recall(self, prompt: Prompt, policy: str) -> Previous | None:
        """Who answered a request's conversation before, or None where nobody did or it is not known (any more)."""
        key = fingerprint_before(prompt, policy)
        found = self._known.get(key) if key is not None else None
        if key is None or found is None:
            return None
        until, previous = found
        if until <= self._clock():
            del self._known[key]
            return None
        return previous

    def remember(self, prompt: Prompt, policy: str, previous: Previous, spec: SessionSpec) -> None:
        """Note who answered a request, for what follows it."""
        if not spec.tool_loops and not spec.follow_up_tokens:
            return
        key = fingerprint(prompt, policy)
        self._known[key] = self._clock() + spec.ttl_s, previous
        self._known.move_to_end(key)
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def __len__(self) -> int:
        return len(self._known)
