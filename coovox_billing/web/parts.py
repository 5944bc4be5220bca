"""What the pages of one application share: where the data is, and what tells the time."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flask import current_app, request

from coovox_billing.services.accounts import Person
from coovox_billing.store.database import Database
from coovox_billing.web.brake import Brake

if TYPE_CHECKING:
    from coovox_billing.web.health import Examination

OWNER = "owner"
MAX_ENDED_SESSIONS = 1000

_NAME = "coovox_billing"


@dataclass(frozen=True, slots=True)
class Parts:
    """`now_ms` is the wall clock, ms since 1970 in UTC. `ended_sessions` were signed out."""

    directory: Path
    database: Database
    now_ms: Callable[[], int]
    brake: Brake
    examinations: "Sequence[Examination]"
    ended_sessions: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_ENDED_SESSIONS))

    def place(self) -> None:
        """Give them to the application whose context is active."""
        current_app.extensions[_NAME] = self


def parts() -> Parts:
    """The parts of the application that serves this request."""
    found: Parts = current_app.extensions[_NAME]
    return found


def person() -> Person:
    """The owner, as the author of a change that this request makes."""
    return Person(OWNER, request.remote_addr or "", parts().now_ms())
