"""`/healthz`: whether both planes, database, disk and clock are well, for a monitor (DESIGN §6).

Open to everyone, so it tells nothing that helps an attacker, an answer serves
all who ask within two seconds (one about the disk's speed, which it takes a write
to know, for a minute), and nobody waits for a disk that hangs.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from coovox_billing.services.condition import Condition
from coovox_billing.web.access import Role, needs
from coovox_billing.web.parts import parts

FRESH_SECONDS = 2.0
PATIENCE_SECONDS = 1.0

page = Blueprint("health", __name__)
log = logging.getLogger(__name__)

Conditions = Sequence[Condition]


@page.get("/healthz")
@needs(Role.ANYBODY)
def show() -> ResponseReturnValue:
    """200 where all is well, else 503 with sentences on what to do."""
    found = look(parts().examinations)
    answer = {condition.name.replace(" ", "_"): condition.is_good for condition in found}
    advice = dict.fromkeys(condition.what_to_do for condition in found if not condition.is_good)
    return jsonify(answer | {"what_to_do": list(advice)}), 503 if advice else 200


def look(examinations: "Sequence[Examination]") -> list[Condition]:
    """What all of them find, at the same time."""
    for examination in examinations:
        examination.begin()
    return [condition for examination in examinations for condition in examination.result()]


class Examination:
    """Something examined in a thread of its own, at most one at a time; `otherwise` is said when it hangs or fails."""

    def __init__(
        self,
        examine: Callable[[], Conditions],
        otherwise: Callable[[], Conditions],
        monotonic: Callable[[], float],
        fresh_seconds: float = FRESH_SECONDS,
    ) -> None:
        self._fresh_seconds = fresh_seconds
        self._examine = examine
        self._otherwise = otherwise
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._began = 0.0
        self._current: Future[Conditions] | None = None

    def begin(self) -> None:
        """Begin, unless it has begun, or was done a moment ago."""
        with self._lock:
            is_old = self._monotonic() - self._began > self._fresh_seconds
            if self._current is None or (self._current.done() and is_old):
                self._current, self._began = Future(), self._monotonic()
                threading.Thread(target=self._run, args=(self._current,), name="health", daemon=True).start()

    def result(self) -> Conditions:
        """What was found; waits until it is about a second since it has begun, and no longer."""
        with self._lock:
            current, left_seconds = self._current, self._began + PATIENCE_SECONDS - self._monotonic()
        try:
            return current.result(max(0.0, left_seconds)) if current else self._otherwise()
        except TimeoutError:
            log.error("examining this site has not come back within %.0f s", PATIENCE_SECONDS)
        except Exception:
            log.exception("examining this site failed")
        return self._otherwise()

    def _run(self, current: "Future[Conditions]") -> None:
        try:
            current.set_result(self._examine())
        except Exception as error:
            current.set_exception(error)
