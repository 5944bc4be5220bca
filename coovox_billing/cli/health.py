"""`doctor`: what is wrong with this installation, and what to do. A check is a small function below `CHECKS`."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from coovox_billing import RELEASED_MS
from coovox_billing.cli.context import Context, listable, silence_log
from coovox_billing.cli.pbx import pbx_items
from coovox_billing.errors import BillingError, SetupError
from coovox_billing.pbx.ami_protocol import AMI_SETTING, AmiAddress
from coovox_billing.pbx.parts import DEFAULT_ETC, WITHOUT_AMI
from coovox_billing.services import activation, trunks
from coovox_billing.services.owner import FIRST_PASSWORD_FILE
from coovox_billing.store import reads
from coovox_billing.store.audit import audit
from coovox_billing.wall_clock import wall_clock_ms

LEAST_FREE_MB = 50


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result of one check; `what_to_do` is empty where all is well."""

    name: str
    finding: str
    what_to_do: str = ""


def add_commands(commands: Any) -> None:
    """Add this module's command to the parser."""
    doctor = commands.add_parser("doctor", help="what is wrong with this installation, and what to do")
    listable(doctor)
    doctor.set_defaults(run=_doctor)


def _doctor(context: Context) -> int:
    diagnoses = [diagnosis for check in CHECKS for diagnosis in _examine(check, context)]
    rows = [
        {"ok": not d.what_to_do, "name": d.name, "finding": d.finding, "what_to_do": d.what_to_do} for d in diagnoses
    ]
    if context.arguments.json:
        context.show(rows, (), "")
    else:
        for row in rows:
            print(f"{'ok   ' if row['ok'] else 'FAULT'}  {row['name']}: {row['finding']}")
            if not row["ok"]:
                print(f"       {row['what_to_do']}")
    return 0 if all(row["ok"] for row in rows) else 1


def _examine(check: Callable[[Context], list[Diagnosis]], context: Context) -> list[Diagnosis]:
    try:
        return check(context)
    except (BillingError, sqlite3.Error) as error:
        name = check.__name__.removeprefix("_check_").replace("_", " ")
        return [Diagnosis(name, str(error), "Correct that, or run the command as a user who may.")]


def _check_database(context: Context) -> list[Diagnosis]:
    findings = context.database.read(audit)
    if findings:
        return [
            Diagnosis("database", finding.message, "Restore a backup, or ask for help with this line.")
            for finding in findings
        ]
    return [Diagnosis("database", f"sound, in {context.config.data}")]


def _check_disk(context: Context) -> list[Diagnosis]:
    free_mb = shutil.disk_usage(context.config.data).free // 1_000_000
    advice = "Free some space: calls are refused when the disk is full." if free_mb < LEAST_FREE_MB else ""
    return [Diagnosis("disk", f"{free_mb} MB free", advice)]


def _check_clock(context: Context) -> list[Diagnosis]:
    newest_ms = max(RELEASED_MS, context.database.read(reads.newest_record_ms))
    if wall_clock_ms() < newest_ms:
        return [
            Diagnosis(
                "clock",
                "behind this version's release or the newest record",
                "Set the clock, or let NTP set it.",
            )
        ]
    return [Diagnosis("clock", "not behind any record")]


def _check_planes(context: Context) -> list[Diagnosis]:
    from coovox_billing.web_plane import is_listening

    advice = "Start it: `coovox-billing serve`; if it runs elsewhere, name that address in the settings."
    planes = (("call plane", context.config.agi_listen), ("pages", context.config.web_listen))
    return [
        Diagnosis(name, f"answers on {address}")
        if is_listening(address)
        else Diagnosis(name, f"silent on {address}", advice)
        for name, address in planes
    ]


def _check_billing(context: Context) -> list[Diagnosis]:
    if context.database.read(activation.is_active):
        return [Diagnosis("billing", "active")]
    return [Diagnosis("billing", "not active, calls pass unbilled", "Run: coovox-billing activation on")]


def _check_first_password(context: Context) -> list[Diagnosis]:
    path = context.config.data / FIRST_PASSWORD_FILE
    if path.exists() and path.stat().st_mode & 0o077:
        return [Diagnosis("first password", f"{path} can be read by others", f"Run: chmod 600 {path}")]
    return []


def _check_trunks(context: Context) -> list[Diagnosis]:
    known = context.database.read(lambda c: trunks.overview(c, wall_clock_ms()))
    strange = [trunk for trunk in known if trunk.suspicion]
    if strange:
        return [Diagnosis(f"trunk {trunk.device}", trunk.suspicion, trunk.advice) for trunk in strange]
    return [Diagnosis("trunks", "none answers suspiciously soon")]


def _check_manager(context: Context) -> list[Diagnosis]:
    """Without Asterisk's manager calls hold all that they could cost, and none can be lengthened."""
    from coovox_billing.pbx.manager import OFF, manager_address, signed_in, what_to_do

    async def greet(address: AmiAddress) -> None:
        async with signed_in(address):
            pass

    address = manager_address(context.config.ami)
    if address is None:
        is_meant = context.config.ami == OFF or not DEFAULT_ETC.is_dir()
        advice = "" if is_meant else what_to_do(context.config.ami)
        return [Diagnosis("manager", f"{_why_no_manager(context.config.ami == OFF)}: {WITHOUT_AMI}", advice)]
    silence_log()
    try:
        asyncio.run(greet(address))
    except SetupError as error:
        return [Diagnosis("manager", str(error), f"Start Asterisk, or correct its manager.conf or {AMI_SETTING}.")]
    return [Diagnosis("manager", f"Asterisk lets billing in at {address}")]


def _why_no_manager(is_off: bool) -> str:
    if is_off:
        return "none, as the setting ami says"
    return "none" if DEFAULT_ETC.is_dir() else f"none, and no {DEFAULT_ETC} here"


def _check_pbx(context: Context) -> list[Diagnosis]:
    items = pbx_items(context)
    if not items:
        return [Diagnosis("pbx", f"no {DEFAULT_ETC} here; elsewhere: `coovox-billing pbx check --etc DIR`")]
    return [Diagnosis(f"pbx: {i.name}", i.message, "" if i.ok else i.what_to_do) for i in items]


CHECKS: tuple[Callable[[Context], list[Diagnosis]], ...] = (
    _check_database,
    _check_disk,
    _check_clock,
    _check_planes,
    _check_billing,
    _check_first_password,
    _check_trunks,
    _check_manager,
    _check_pbx,
)
