"""What goes on beside the pages: the trial takes note of how long billing ran."""

import logging
import threading

from coovox_billing.services.licensing import Licensing

NOTE_SECONDS = 900.0

log = logging.getLogger(__name__)


def note_running(licensing: Licensing, stopping: threading.Event) -> None:
    """Bring trial and license up to date at once, then every quarter of an hour, until told to stop."""
    while True:
        try:
            licensing.keep_up()
        except Exception:
            log.exception("the trial could not be brought up to date")
        if stopping.wait(NOTE_SECONDS):
            return
