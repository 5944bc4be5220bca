"""`doctor`: what is wrong with this installation, and what to do. A check is a small function in `CHECKS`."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from coovox_billing import RELEASED_MS
from coovox_billing.cli.context import Context, listable, silence_log
from coovox_billing.cli.pbx import pbx_items
from coovox_billing.errors import BillingError, SetupError
from coovox_billing.pbx.ami_protocol import AMI_SETTING, AmiAddress
from coovox_billing.pbx.parts import DEFAULT_ETC, WITHOUT_AMI
from coovox_billing.services import activation, backups, condition, trunks
from coovox_billing.services.condition import Condition
from coovox_billing.services.owner import FIRST_PASSWORD_FILE
from coovox_billing.store.audit import audit
from coovox_billing.this_device import open_licensing
from coovox_billing.wall_clock import wall_clock_ms

Check = Callable[[Context], list[Condition]]

PROBE_SECONDS = 2.5


def add_commands(commands: Any) -> None:
    """Add this module's command to the parser."""
    doctor = commands.add_parser("doctor", help="what is wrong with this installation, and what to do")
    listable(doctor)
    doctor.set_defaults(run=_doctor)


def _doctor(context: Context) -> int:
    rows = [
        {"ok": found.is_good, "name": found.name, "finding": found.finding, "what_to_do": found.what_to_do}
        for found in _examine_all(context)
    ]
    if context.arguments.json:
        context.show(rows, (), "")
    else:
        for row in rows:
            print(f"{'ok   ' if row['ok'] else 'FAULT'}  {row['name']}: {row['finding']}")
            if not row["ok"]:
                print(f"       {row['what_to_do']}")
    return 0 if all(row["ok"] for row in rows) else 1


def _examine_all(context: Context) -> Iterator[Condition]:
    """The database goes first: what needs it would only say the same again where it is not usable."""
    directory, now_ms = context.config.data, wall_clock_ms()
    if not directory.exists():
        raise SetupError(
            "there is no site in %(directory)s: name its directory with --data or COOVOX_DATA", directory=directory
        )
    at_first = condition.examine(directory, now_ms, RELEASED_MS, condition.THOROUGH_WAIT_MS)
    yield from at_first
    is_usable = at_first[0].is_good
    for check in (*CHECKS, *(CHECKS_OF_THE_DATABASE if is_usable else ())):
        yield from _examine(check, context)
    if not is_usable:
        left_out = ", ".join(_name(check) for check in CHECKS_OF_THE_DATABASE)
        yield Condition("not examined", f"{left_out}: they need the database")


def _examine(check: Check, context: Context) -> list[Condition]:
    try:
        return check(context)
    except (BillingError, sqlite3.Error, OSError) as error:
        return [Condition(_name(check), str(error), "Correct that, or run the command as a user who may.")]


def _name(check: Check) -> str:
    return check.__name__.removeprefix("_check_").replace("_", " ")


def _check_books(context: Context) -> list[Condition]:
    findings = context.database.read(audit)
    if findings:
        advice = "Restore a backup, or ask for help with this line."
        return [Condition("books", finding.message, advice) for finding in findings]
    return [Condition("books", "sound: balances, ledger, calls and totals agree")]


def _check_files(context: Context) -> list[Condition]:
    return [condition.check_files(context.config.data)]


def _check_disk_speed(context: Context) -> list[Condition]:
    return [condition.check_disk_speed(context.config.data)]


def _check_calls(context: Context) -> list[Condition]:
    return context.database.read(lambda connection: condition.check_calls(connection, wall_clock_ms()))


def _check_planes(context: Context) -> list[Condition]:
    from coovox_billing.web_plane import is_listening

    advice = "Start it: `coovox-billing serve`; if it runs elsewhere, name that address in the settings."
    planes = (("call plane", context.config.agi_listen), ("pages", context.config.web_listen))
    return [
        Condition(name, f"answers on {address}")
        if is_listening(address, PROBE_SECONDS)
        else Condition(name, f"silent on {address}", advice)
        for name, address in planes
    ]


def _check_billing(context: Context) -> list[Condition]:
    if context.database.read(activation.is_active):
        return [Condition("billing", "active")]
    return [Condition("billing", "not active, calls pass unbilled", "Run: coovox-billing activation on")]


def _check_license(context: Context) -> list[Condition]:
    """The trial and the license, and what the owner was told of them on the page."""
    standing = open_licensing(context.database, context.config.data).standing()
    advice = "Send what `license source FILE` writes to your distributor; then run: coovox-billing license upload FILE"
    if standing.is_barred:
        return [Condition("license", "the trial is over, billing users cannot sign in", advice)]
    if standing.license is not None:
        return [Condition("license", f"{standing.license.number}, for good")]
    return [Condition("license", "; ".join(["none, the trial is not over", *standing.faults]))]


def _check_first_password(context: Context) -> list[Condition]:
    path = context.config.data / FIRST_PASSWORD_FILE
    if path.exists() and path.stat().st_mode & 0o077:
        return [Condition("first password", f"{path} can be read by others", f"Run: chmod 600 {path}")]
    return []


def _check_backup(context: Context) -> list[Condition]:
    return [context.database.read(lambda c: backups.check(c, context.config.data, wall_clock_ms()))]


def _check_trunks(context: Context) -> list[Condition]:
    known = context.database.read(lambda c: trunks.overview(c, wall_clock_ms()))
    strange = [trunk for trunk in known if trunk.suspicion]
    if strange:
        return [Condition(f"trunk {trunk.device}", trunk.suspicion, trunk.advice) for trunk in strange]
    return [Condition("trunks", "none answers suspiciously soon")]


def _check_manager(context: Context) -> list[Condition]:
    """Without Asterisk's manager calls hold all that they could cost, and none can be lengthened."""
    from coovox_billing.pbx.manager import OFF, manager_address, signed_in, what_to_do

    async def greet(address: AmiAddress) -> None:
        async with signed_in(address):
            pass

    address = manager_address(context.config.ami)
    if address is None:
        is_meant = context.config.ami == OFF or not DEFAULT_ETC.is_dir()
        advice = "" if is_meant else what_to_do(context.config.ami)
        return [Condition("manager", f"{_why_no_manager(context.config.ami == OFF)}: {WITHOUT_AMI}", advice)]
    silence_log()
    try:
        asyncio.run(greet(address))
    except SetupError as error:
        return [Condition("manager", str(error), f"Start Asterisk, or correct its manager.conf or {AMI_SETTING}.")]
    return [Condition("manager", f"Asterisk lets billing in at {address}")]


def _why_no_manager(is_off: bool) -> str:
    if is_off:
        return "none, as the setting ami says"
    return "none" if DEFAULT_ETC.is_dir() else f"none, and no {DEFAULT_ETC} here"


def _check_pbx(context: Context) -> list[Condition]:
    items = pbx_items(context)
    if not items:
        return [Condition("pbx", f"no {DEFAULT_ETC} here; elsewhere: `coovox-billing pbx check --etc DIR`")]
    return [Condition(f"pbx: {i.name}", i.message, "" if i.ok else i.what_to_do) for i in items]


CHECKS: tuple[Check, ...] = (
    _check_files,
    _check_disk_speed,
    _check_planes,
    _check_first_password,
    _check_manager,
    _check_pbx,
)
CHECKS_OF_THE_DATABASE: tuple[Check, ...] = (
    _check_books,
    _check_billing,
    _check_license,
    _check_backup,
    _check_calls,
    _check_trunks,
)
