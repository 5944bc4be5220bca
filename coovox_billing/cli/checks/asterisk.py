"""Asterisk: its manager, its devices, its configuration and what it was told of billing."""

import asyncio
import os
import re
from pathlib import Path

from coovox_billing.cli.checks import machine
from coovox_billing.cli.checks.look import PATIENCE_SECONDS, Check, Look, note, user_name
from coovox_billing.core.devices import Listing, Plan
from coovox_billing.core.site_settings import BY_VOICEMAIL_PIN, SELF_SERVICE
from coovox_billing.errors import Refused, SetupError
from coovox_billing.pbx import console, voicemail
from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx.ami import Ami, AmiError, AmiGone
from coovox_billing.pbx.ami_protocol import AMI_SETTING, AmiAddress
from coovox_billing.pbx.cel_file import CEL_DIRECTORY, CEL_FILE, ROTATED_FILE
from coovox_billing.pbx.check import Known, check
from coovox_billing.pbx.devices import list_devices
from coovox_billing.pbx.dialplan_check import billed_routes, read_config
from coovox_billing.pbx.manager import OFF, manager_address, signed_in, what_to_do
from coovox_billing.pbx.parts import DEFAULT_ETC, DIALPLAN, WITHOUT_AMI, WITHOUT_CEL, directory_setting
from coovox_billing.services import devices, self_service
from coovox_billing.services.condition import Condition
from coovox_billing.store import reads

# What the call plane asks of the manager; `ListCommands` names those that a user may.
ACTIONS = (
    "DBDel",
    "DBDelTree",
    "DBGet",
    "DBGetTree",
    "DBPut",
    "Getvar",
    "Hangup",
    "Originate",
    "Ping",
    "Setvar",
    "Status",
)
MOST_NAMED = 10
LATE_CEL_MS = 120_000
OWN_PROMPT, PROMPTS = "custom/coovox-billing-warning", ("vm-youhave", "queue-seconds", "queue-minutes")
_VALUE = re.compile(r"^Value: (.*)$", re.MULTILINE)


def check_manager(look: Look) -> list[Condition]:
    """Without Asterisk's manager calls hold all that they could cost, and none can be lengthened."""
    address = manager_address(look.config.ami, look.etc)
    if address is None:
        is_meant = look.config.ami == OFF or not look.etc.is_dir()
        advice = "" if is_meant else what_to_do(look.config.ami, look.etc)
        return [Condition("manager", f"{_why_no_manager(look)}: {WITHOUT_AMI}", advice)]
    try:
        commands, listings = asyncio.run(_ask(address))
    except SetupError as error:
        advice = f"Start Asterisk, or correct its manager.conf or {AMI_SETTING}."
        return [Condition("manager", str(error), advice)]
    except TimeoutError:
        finding = f"Asterisk's manager at {address} did not answer in {PATIENCE_SECONDS:g} s, so it may hang"
        return [Condition("manager", finding, "Look at Asterisk's log, and restart it.")]
    except (AmiError, AmiGone) as error:
        return [Condition("manager", f"Asterisk's manager at {address}: {error}", "Look at Asterisk's log.")]
    return [_rights(address, commands), *device_conditions(look, listings), *_unknown_trunks(look, listings)]


def _why_no_manager(look: Look) -> str:
    if look.config.ami == OFF:
        return "none, as the setting ami says"
    return "none" if look.etc.is_dir() else f"none, and no {look.etc} here"


async def _ask(address: AmiAddress) -> tuple[set[str], list[Listing]]:
    async with asyncio.timeout(PATIENCE_SECONDS), signed_in(address) as ami:
        return await _commands(ami), await list_devices(ami)


async def _commands(ami: Ami) -> set[str]:
    answer = await ami.action("ListCommands")
    return {action for action in ACTIONS if answer.get(action)}


def _rights(address: AmiAddress, commands: set[str]) -> Condition:
    missing = [action for action in ACTIONS if action not in commands]
    if missing:
        finding = f"Asterisk lets {address.user} in at {address}, and does not let it do {', '.join(missing)}"
        advice = "Give that user `read = system,call,user` and `write = system,call,originate`, then: manager reload"
        return Condition("manager", finding, advice)
    return Condition("manager", f"Asterisk lets the user {address.user} in at {address}")


def device_conditions(look: Look, listings: list[Listing]) -> list[Condition]:
    """Devices that pay for nobody, and extensions whose telephone is gone."""
    if not look.context.has_usable_database:
        return []
    try:
        plan = look.context.database.read(lambda connection: devices.plan(connection, listings))
    except Refused:
        return []
    return _strangers(plan) or [Condition("devices", "each belongs to an extension or is a trunk")]


def _unknown_trunks(look: Look, listings: list[Listing]) -> list[Condition]:
    """PJSIP trunks that routes dial and Asterisk has not; of other technologies a host's address would do as well."""
    pjsip = next((one for one in listings if one.technology == "PJSIP" and one.is_loaded and not one.trouble), None)
    if pjsip is None or not look.etc.is_dir():
        return []
    known = {found.device.lower() for found in pjsip.found}
    return [
        Condition(
            f"trunk {device}",
            f"{route.line.where} dials {device}, which Asterisk does not know: every call over it fails",
            "Correct its name in that route, or make the endpoint in pjsip.conf.",
        )
        for route in billed_routes(read_config(look.etc, DIALPLAN.host))
        for device in route.devices
        if device.startswith("PJSIP/") and device.lower() not in known
    ]


def _strangers(plan: Plan) -> list[Condition]:
    found = []
    if plan.opened or plan.reopened:
        numbers = sorted({*plan.opened, *plan.reopened})
        names = [f"{number} ({', '.join(plan.present[number])})" for number in numbers]
        finding = f"Asterisk has telephones of no extension, whose calls pass unbilled: {_some(names)}"
        found.append(Condition("devices", finding, "Run: coovox-billing extension sync --dry-run; then without it"))
    if plan.closed:
        finding = f"these extensions have no telephone in Asterisk any more: {_some(sorted(plan.closed))}"
        found.append(note("devices", finding, "Run: coovox-billing extension sync --dry-run; then without it"))
    return found


def _some(words: list[str]) -> str:
    more = f" and {len(words) - MOST_NAMED} more" if len(words) > MOST_NAMED else ""
    return f"{', '.join(words[:MOST_NAMED])}{more}"


def check_pbx(look: Look) -> list[Condition]:
    """Item by item what `pbx check` finds."""
    if not look.etc.is_dir():
        return [Condition("pbx", f"no {DEFAULT_ETC} here; elsewhere: `coovox-billing doctor --etc DIR`")]
    config, asterisk = look.config, console.find_asterisk_cli(PATIENCE_SECONDS)
    agi_address = f"agi://{config.agi_listen}"
    items = check(look.etc, asterisk, agi_address, config.ami != OFF, config.asterisk_log, _known(look))
    return [Condition(f"pbx: {i.name}", i.message, "" if i.ok else i.what_to_do) for i in items]


def _known(look: Look) -> Known:
    if not look.context.has_usable_database:
        return Known()
    premises = look.context.database.read(reads.premises)
    return Known(premises.site.emergency_numbers, frozenset(premises.trunks))


def check_mirror(look: Look) -> list[Condition]:
    """Whether Asterisk knows, for the time that billing is down, who is billed and which numbers always pass."""
    asterisk = console.find_asterisk_cli(PATIENCE_SECONDS)
    if asterisk is None or not look.etc.is_dir() or not look.context.has_usable_database:
        return []
    try:
        told = _VALUE.search(asterisk(f"database get {dialplan.FAMILY} {dialplan.MIRROR}"))
    except SetupError:
        return []
    ours = look.context.database.read(reads.mirror_marker)
    if told is not None and told[1].strip() == ours:
        return [Condition("astdb", "Asterisk knows what it must know while billing is down")]
    behind = "was never told" if told is None else "knows an older state of"
    finding = f"Asterisk {behind} what it must know alone: while billing is down it decides by that"
    advice = "It is told within a second where the call plane is signed in to the manager, else by the next call."
    return [note("astdb", finding, advice)]


def check_prompts(look: Look) -> list[Condition]:
    """What says how long the money lasts: the site's own prompt, or Asterisk's sounds."""
    data = look.etc.is_dir() and directory_setting(look.etc, "astdatadir")
    if not data:
        return []
    own = any((data / "sounds").glob(f"**/{OWN_PROMPT}.*"))
    missing = [name for name in PROMPTS if not any((data / "sounds").glob(f"*/{name}.*"))]
    if own or not missing:
        return [Condition("prompts", "the warning that the money is nearly out is spoken")]
    finding = f"no {' and no '.join(missing)} below {data / 'sounds'}: the warning is three tones instead of words"
    advice = (
        "Install Asterisk's core sounds (Debian: asterisk-core-sounds-en), or a prompt of your own: asterisk/README.md"
    )
    return [note("prompts", finding, advice)]


def check_mailboxes(look: Look) -> list[Condition]:
    """Whether who runs billing can read the PINs that let persons in to self-service, and how many there are."""
    if not look.context.has_usable_database:
        return []
    database, path = look.context.database, look.config.voicemail_conf
    if database.read(reads.site).self_service != BY_VOICEMAIL_PIN:
        return []
    name = user_name(look.config.data.stat().st_uid)
    numbers = [row["extension"] for row in database.read(reads.newest_accounts) if row["closed_at_ms"] is None]
    try:
        if os.path.lexists(path) and not machine.may_read(path, look.config.data.stat().st_uid):
            finding = f"{name}, who runs billing, cannot read {path}, so nobody can sign in"
            advice = f"Run: usermod -aG asterisk {name}; then start billing again, so that it counts."
            return [Condition("self-service", finding, advice)]
        pins = voicemail.pins(path)
    except (SetupError, PermissionError) as error:
        advice = f"Set voicemail_conf to where it is, or run: coovox-billing setting set {SELF_SERVICE} pin"
        return [Condition("self-service", f"nobody can sign in: {error}", advice)]
    without = [one for one in numbers if not self_service.mailbox_pin(lambda number: pins.get(number, ""), one)]
    if without:
        finding = f"no mailbox with a PIN that is hard enough to guess for {_some(without)}: they cannot sign in"
        return [note("self-service", finding, "Give them a mailbox, and another PIN than their number or 1234.")]
    return [Condition("self-service", "each extension has a mailbox with a PIN")]


def check_cel(look: Look) -> list[Condition]:
    """Whether the CEL file grows with the calls."""
    directory = look.config.asterisk_log / CEL_DIRECTORY
    if not look.context.has_usable_database or not directory.is_dir():
        return []
    answered_ms = look.context.database.read(reads.newest_answer_ms)
    written_ms = max((_written_ms(directory / name) for name in (CEL_FILE, ROTATED_FILE)), default=0)
    if answered_ms and written_ms < answered_ms - LATE_CEL_MS:
        finding = f"{directory / CEL_FILE} has not grown since a call was answered: {WITHOUT_CEL}"
        advice = (
            "Run: asterisk -rx 'module reload cel' and asterisk -rx 'module reload cel_custom.so'; then make a call"
        )
        return [Condition("CEL file", finding, advice)]
    return []


def _written_ms(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns // 1_000_000
    except OSError:
        return 0


OUTSIDE_CHECKS: tuple[Check, ...] = (check_manager, check_pbx, check_mirror, check_prompts, check_cel, check_mailboxes)
