"""Lines without answer supervision: what talk is free on a trunk, and how such a line shows in its calls (DESIGN §4).

An analog line that does not signal the answer counts as answered as soon as
it was dialed: ringing is talk, and nothing ends unanswered.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MAX_FREE_SECONDS = 600
MAX_CHANNELS = 10_000
AT_ONCE_MS = 2_000

# A line is suspected from so many calls on, if so many of its answers came at once and hardly a call had none.
_LEAST_CALLS = 20
_LEAST_AT_ONCE_PERCENT = 95
_MOST_UNANSWERED_PERCENT = 5


@dataclass(frozen=True, slots=True)
class KnownTrunk:
    """A trunk's name is what its routes call it; its device, until a call tells."""

    name: str
    free_seconds: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """How many calls over a trunk are over, were answered, and were answered within 2 s of being dialed."""

    calls: int
    answered: int
    answered_at_once: int

    @property
    def unanswered(self) -> int:
        """How many ended without an answer."""
        return self.calls - self.answered


def least_free_seconds(devices: Iterable[str], known: Mapping[str, KnownTrunk]) -> int:
    """The free seconds of a call that dials these devices: the strictest's, since nobody knows which will answer."""
    return min((known[device].free_seconds if device in known else 0 for device in devices), default=0)


def looks_unsupervised(traffic: Traffic, free_seconds: int) -> bool:
    """Whether a trunk's answers look as if nobody gave them. One with free seconds is taken care of."""
    return (
        free_seconds == 0
        and traffic.calls >= _LEAST_CALLS
        and traffic.answered_at_once * 100 >= traffic.answered * _LEAST_AT_ONCE_PERCENT
        and traffic.unanswered * 100 <= traffic.calls * _MOST_UNANSWERED_PERCENT
    )


def explain_suspicion(traffic: Traffic) -> str:
    """One sentence with the numbers behind `looks_unsupervised`."""
    return (
        f"{traffic.answered_at_once} of {traffic.answered} answers came within {AT_ONCE_MS // 1000} s of dialing, "
        f"{traffic.unanswered} of {traffic.calls} calls had none: the line may count as answered while it still rings"
    )
