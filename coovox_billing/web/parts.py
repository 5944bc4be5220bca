"""What the pages of one application share: where the data is, and what tells the time."""

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flask import current_app, flash, g, request

from coovox_billing.backup.runner import Runner
from coovox_billing.core.devices import Listing
from coovox_billing.errors import SetupError
from coovox_billing.services import submissions
from coovox_billing.services.accounts import Person
from coovox_billing.services.licensing import Licensing
from coovox_billing.store.database import Database
from coovox_billing.web.brake import Brake
from coovox_billing.web.pin_brake import PinBrake
from coovox_billing.web.words import gettext as _

if TYPE_CHECKING:
    from coovox_billing.web.pages.health import Examination

MAX_ENDED_SESSIONS = 1000

_NAME = "coovox_billing"


@dataclass(frozen=True, slots=True)
class Parts:
    """`now_ms` is the wall clock, ms since 1970 in UTC. `ended_sessions` were signed out.

    `examinations` is what `/healthz` tells a monitor of, `inquiries` what else is asked for people to see.
    `read_devices` asks Asterisk for its devices; it raises SetupError where it cannot be asked. `voicemail_pin` tells
    the PIN of an extension's mailbox, empty for none; it raises SetupError where mailboxes cannot be read.
    """

    directory: Path
    database: Database
    now_ms: Callable[[], int]
    brake: Brake
    examinations: "Sequence[Examination]"
    inquiries: "Sequence[Examination]"
    read_devices: Callable[[], Sequence[Listing]]
    licensing: Licensing
    runner: Runner
    pin_brake: PinBrake
    voicemail_pin: Callable[[str], str]
    ended_sessions: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_ENDED_SESSIONS))

    def place(self) -> None:
        """Give them to the application whose context is active."""
        current_app.extensions[_NAME] = self


def no_manager() -> Sequence[Listing]:
    """Asterisk cannot be asked.

    Raises:
        SetupError: always.
    """
    raise SetupError("Sync asks Asterisk's manager, and these pages were started without it.")


def no_mailboxes(extension: str) -> str:
    """There is no Asterisk whose mailboxes could be read.

    Raises:
        SetupError: always.
    """
    raise SetupError("Mailboxes are read from Asterisk's voicemail.conf, and these pages were started without it.")


def parts() -> Parts:
    """The parts of the application that serves this request."""
    found: Parts = current_app.extensions[_NAME]
    return found


def once(job: Callable[[sqlite3.Connection], object], done: str) -> bool:
    """Do what a form asks for, once however often it is sent, and tell the reader `done`; whether it was done now.

    Raises:
        BillingError: it is refused; nothing was changed, and the form can be sent again.
    """

    def answer(connection: sqlite3.Connection) -> str:
        job(connection)
        return done

    token, now_ms = request.form.get("submission", ""), parts().now_ms()
    told, is_new = parts().database.write(lambda c: submissions.once(c, token, now_ms, answer))
    flash(told if is_new else _("Not done again, this form was sent already: %(told)s", told=told))
    return is_new


def person() -> Person:
    """Who is signed in, as the author of a change that this request makes."""
    return Person(g.user.name, request.remote_addr or "", parts().now_ms())
