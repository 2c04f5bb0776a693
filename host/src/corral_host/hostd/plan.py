"""When to start a run: pure decisions, the clock is an argument."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

#: Seconds before a run that failed is tried again, the first time and at most.
FIRST, LAST = 30.0, 1800.0
#: Seconds before another try when somebody else's run was going on.
SOON = 10.0
#: Seconds that the API may ask a host to wait, at most.
WIDEST = 86400.0


@dataclass
class Plan:
    """The version that the API serves, the one that was applied, and what failed."""

    chance: random.Random = field(default_factory=random.SystemRandom)
    #: The version that the host should have; ``None`` before the API said one.
    served: str | None = None
    #: When to start, or ``None`` when there is nothing to do.
    due: float | None = None
    #: Runs in a row that did not bring the served version.
    failures: int = 0

    def serve(self, version: str | None, spread: float, applied: str | None, now: float) -> bool:
        """Take note of the served version. Returns whether it is a new one that needs a run."""
        if version is None or version == self.served:
            return False
        self.served, self.failures = version, 0
        if version == applied:
            self.due = None
            return False
        start = now + self.chance.uniform(0, min(max(spread, 0.0), WIDEST))
        # A host that waits already does not wait longer because of another change.
        self.due = start if self.due is None else min(self.due, start)
        return True

    def ready(self, applied: str | None, now: float) -> bool:
        """Return whether a run is to be started now."""
        if self.served is None or self.served == applied:
            self.due, self.failures = None, 0
            return False
        if self.due is None:
            # The applied version went back or its record was lost.
            self.due = now
        return now >= self.due

    def ended(self, at_start: str | None, applied: str | None, now: float, *, busy: bool) -> None:
        """Take note of a run's end; ``at_start`` is what was served when it started."""
        if applied == self.served:
            self.due, self.failures = None, 0
        elif busy:
            self.due = now + SOON
        elif at_start != self.served:
            # Something new came meanwhile: one more run, at once.
            self.due, self.failures = now, 0
        else:
            wait = min(FIRST * 2**self.failures, LAST)
            self.failures = min(self.failures + 1, 30)
            self.due = now + wait * self.chance.uniform(0.8, 1.2)


def backoff(failures: int, first: float, last: float, chance: random.Random) -> float:
    """Return how long to wait after so many failures in a row, in seconds, with jitter."""
    return min(first * 2 ** min(failures, 30), last) * chance.uniform(0.5, 1.5)
