"""`doctor`: what is wrong with this installation, and what to do. What it examines is in `checks`."""

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from coovox_billing import RELEASED_MS
from coovox_billing.cli.checks import asterisk, machine, planes, site
from coovox_billing.cli.checks.look import Check, Look
from coovox_billing.cli.context import Context, listable, silence_log
from coovox_billing.errors import BillingError, SetupError
from coovox_billing.pbx.parts import DEFAULT_ETC
from coovox_billing.services import condition
from coovox_billing.services.condition import Condition
from coovox_billing.wall_clock import wall_clock_ms

# What others have to answer may take so long in all.
PATIENCE_SECONDS = 8.0

CHECKS: tuple[Check, ...] = (*machine.CHECKS, *planes.CHECKS)
CHECKS_OF_THE_DATABASE: tuple[Check, ...] = site.CHECKS
OUTSIDE_CHECKS: tuple[Check, ...] = (*planes.OUTSIDE_CHECKS, *asterisk.OUTSIDE_CHECKS)

log = logging.getLogger(__name__)


def add_commands(commands: Any) -> None:
    """Add this module's command to the parser."""
    doctor = commands.add_parser("doctor", help="what is wrong with this installation, and what to do")
    doctor.add_argument("--etc", metavar="DIR", default=str(DEFAULT_ETC), help="Asterisk's configuration")
    listable(doctor)
    doctor.set_defaults(run=_doctor)


def _doctor(context: Context) -> int:
    found = list(_examine_all(context))
    if context.arguments.json:
        context.show([_row(one) for one in found], (), "")
    else:
        for one in found:
            print(f"{_level(one):<5}  {one.name}: {one.finding}")
            if one.what_to_do:
                print(f"       {one.what_to_do}")
    return 0 if all(one.is_good for one in found) else 1


def _row(found: Condition) -> dict[str, Any]:
    return {
        "ok": found.is_good,
        "level": _level(found).lower(),
        "name": found.name,
        "finding": found.finding,
        "what_to_do": found.what_to_do,
    }


def _level(found: Condition) -> str:
    if found.is_note:
        return "note"
    return "ok" if found.is_good else "FAULT"


def _examine_all(context: Context) -> Iterator[Condition]:
    """The database goes first: what needs it would only say the same again where it is not usable."""
    directory, now_ms = context.config.data, wall_clock_ms()
    if not directory.exists():
        raise SetupError(
            "there is no site in %(directory)s: name its directory with --data or COOVOX_DATA", directory=directory
        )
    silence_log()
    at_first = condition.examine(directory, now_ms, RELEASED_MS, condition.THOROUGH_WAIT_MS)
    yield from at_first
    context.has_usable_database = at_first[0].is_good
    look = Look(context, now_ms, Path(context.arguments.etc))
    begun = time.monotonic()
    outside = [(check, _begin(check, look)) for check in OUTSIDE_CHECKS]
    for check in (*CHECKS, *(CHECKS_OF_THE_DATABASE if context.has_usable_database else ())):
        yield from _examine(check, look)
    for check, answer in outside:
        yield from _await(check, answer, begun + PATIENCE_SECONDS)
    if not context.has_usable_database:
        left_out = ", ".join(_name(check) for check in CHECKS_OF_THE_DATABASE)
        yield Condition("not examined", f"{left_out}: they need the database")


def _begin(check: Check, look: Look) -> "Future[list[Condition]]":
    """Examine in a thread that nobody has to wait for: who hangs may hang on."""
    answer: Future[list[Condition]] = Future()
    threading.Thread(target=lambda: answer.set_result(_examine(check, look)), daemon=True).start()
    return answer


def _await(check: Check, answer: "Future[list[Condition]]", until: float) -> Sequence[Condition]:
    try:
        return answer.result(max(0.0, until - time.monotonic()))
    except TimeoutError:
        finding = f"examining it has not come back in {PATIENCE_SECONDS:g} s, so it was left out"
        return [
            Condition(_name(check), finding, "See what hangs: Asterisk's log, `journalctl -u coovox-billing-calls`.")
        ]


def _examine(check: Check, look: Look) -> list[Condition]:
    try:
        return check(look)
    except (BillingError, sqlite3.Error, OSError) as error:
        return [Condition(_name(check), str(error), "Correct that, or run the command as a user who may.")]
    except Exception as error:
        log.exception("examining %s failed", _name(check))
        return [Condition(_name(check), f"it could not be examined: {error!r}", "Ask for help with this line.")]


def _name(check: Check) -> str:
    return check.__name__.removeprefix("check_").replace("_", " ")
