"""`backup`, `restore` and `backups`: what keeps a site's data, and brings it back."""

import getpass
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any, BinaryIO

from coovox_billing.backup import archive, keeping, restoring
from coovox_billing.backup.manifest import Manifest, utc
from coovox_billing.backup.restoring import Plan
from coovox_billing.cli.context import Context, counted, listable
from coovox_billing.core.money import format_amount
from coovox_billing.core.site_settings import site_setting
from coovox_billing.errors import BadInput, SetupError
from coovox_billing.opening import is_site
from coovox_billing.services import backups as services
from coovox_billing.services.licensing import Standing
from coovox_billing.small_files import give_to_owner_of, sync_directory
from coovox_billing.store import reads, schema
from coovox_billing.this_device import open_licensing, this_device
from coovox_billing.wall_clock import wall_clock_ms

PASSPHRASE_VARIABLE = "COOVOX_BACKUP_PASSPHRASE"  # noqa: S105
UNITS = "coovox-billing-calls coovox-billing-web"
_MOST_PASSPHRASE_BYTES = 1024
_SHOWN_DIFFERENCES = 20
_SETTINGS = ("backup_at", "backup_days", "backup_to", "backup_keep", "backup_host_key", "backup_s3_region")
# After so much reading or writing everything else has the disk for a moment.
_PAUSE_SECONDS = 0.002
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_TO_STDOUT = "-"


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    backup = commands.add_parser("backup", help="write all data of the site into a file, while calls run")
    backup.add_argument("file", metavar="FILE", help=f"where to; {_TO_STDOUT} writes to standard output")
    backup.add_argument("--encrypt", action="store_true", help="with a passphrase, which is asked for")
    _add_passphrase_file(backup, "with the passphrase in this file")
    backup.set_defaults(run=_backup)
    restore = commands.add_parser("restore", help="bring a backup back, once billing is stopped")
    restore.add_argument("file", metavar="FILE")
    restore.add_argument("--dry-run", action="store_true", help="check it and tell what would change; change nothing")
    _add_passphrase_file(restore, "decrypt with the passphrase in this file")
    listable(restore)
    restore.set_defaults(run=_restore)
    _add_scheduled(commands.add_parser("backups", help="the backups that are made by themselves"))


def _add_scheduled(parser: Any) -> None:
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    status = verbs.add_parser("status", help="what is scheduled, where to, and what became of the last one")
    listable(status)
    status.set_defaults(run=_status)
    now = verbs.add_parser("now", help="make one now, where the settings say")
    now.set_defaults(run=_now)
    listing = verbs.add_parser("list", help="those that are kept, as they were after the last one")
    listable(listing)
    listing.set_defaults(run=_list)
    fetch = verbs.add_parser("fetch", help="copy one from where it is kept")
    fetch.add_argument("name", metavar="NAME")
    fetch.add_argument("file", metavar="FILE", help=f"where to; {_TO_STDOUT} writes to standard output")
    fetch.set_defaults(run=_fetch)
    secret = verbs.add_parser("secret", help="store a passphrase or a key of a server; it is never shown again")
    secret.add_argument("name", choices=list(services.SECRETS))
    secret.add_argument("--file", metavar="FILE", help="the file that holds it; without, it is asked for")
    secret.add_argument("--remove", action="store_true", help="forget it")
    secret.set_defaults(run=_secret)


def _add_passphrase_file(parser: Any, words: str) -> None:
    parser.add_argument("--passphrase-file", metavar="FILE", help=words)


def _backup(context: Context) -> None:
    if not is_site(context.config.data):
        raise SetupError(
            "there is no site in %(directory)s: name its directory with --data or COOVOX_DATA",
            directory=context.config.data,
        )
    _ = context.database
    target, passphrase = context.arguments.file, _passphrase_to_encrypt(context)
    device = this_device(context.config.data)
    if target == _TO_STDOUT:
        archive.write(context.config.data, device, wall_clock_ms(), sys.stdout.buffer, passphrase)
        return
    with _new_file(Path(target)) as out:
        told = archive.write(context.config.data, device, wall_clock_ms(), out, passphrase)
    size = Path(target).stat().st_size
    print(f"{target} is written: {_size_in_words(size)}, {_counts(told)}{', encrypted' if passphrase else ''}")


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A private file that has its name once all of it is on disk.

    Raises:
        BadInput: it cannot be written, or something is there already.
    """
    unfinished = path.with_name(f".{path.name}.part")
    try:
        if path.exists():
            raise BadInput("%(file)s is there already: name another file", file=path)
        unfinished.unlink(missing_ok=True)
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BadInput("%(file)s cannot be written: %(reason)s", file=path, reason=error.strerror) from None
    try:
        with os.fdopen(handle, "wb") as file:
            give_to_owner_of(path.parent, handle)
            yield file
            file.flush()
            os.fsync(handle)
        unfinished.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise BadInput("%(file)s cannot be written: %(reason)s", file=path, reason=error.strerror) from None
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _counts(told: Manifest) -> str:
    calls, accounts = told.rows.get("calls", 0), told.rows.get("accounts", 0)
    return f"{counted(calls, 'call', 'calls')}, {_extensions(accounts)}"


def _extensions(number: int) -> str:
    return counted(number, "extension", "extensions")


def _passphrase_to_encrypt(context: Context) -> str:
    """What was given, checked; empty where no encryption is wanted."""
    arguments = context.arguments
    if not arguments.encrypt and not arguments.passphrase_file:
        return ""
    passphrase = _given_passphrase(arguments.passphrase_file)
    if not passphrase:
        passphrase = _asked("Passphrase: ")
        if passphrase != _asked("Again: "):
            raise BadInput("the two passphrases differ: try again")
    services.check_passphrase(passphrase)
    return passphrase


def _given_passphrase(file: str | None) -> str:
    """From the file that was named, else from the environment; empty where there is neither."""
    if not file:
        return os.environ.get(PASSPHRASE_VARIABLE, "")
    try:
        with Path(file).open("rb") as opened:
            data = opened.read(_MOST_PASSPHRASE_BYTES + 1)
    except OSError as error:
        raise BadInput("%(file)s cannot be read: %(reason)s", file=file, reason=error.strerror) from None
    line = data.split(b"\n", 1)[0].rstrip(b"\r")
    if not line or len(data) > _MOST_PASSPHRASE_BYTES:
        raise BadInput("%(file)s must hold the passphrase, in its first line", file=file)
    return line.decode("utf-8", "surrogateescape")


def _asked(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise BadInput(
            "a passphrase is needed",
            hint="name the file that holds it with --passphrase-file, a secret's with --file",
        )
    return getpass.getpass(prompt)


def _restore(context: Context) -> None:
    arguments, directory = context.arguments, context.config.data
    if not is_site(directory) and not context.config.data_was_named and not directory.is_dir():
        raise SetupError(
            "there is no data directory %(directory)s: name it with --data or COOVOX_DATA", directory=directory
        )
    path = Path(arguments.file)
    try:
        source = path.open("rb")
    except OSError as error:
        raise BadInput("%(file)s cannot be read: %(reason)s", file=path, reason=error.strerror) from None
    with source:
        plan = _bring_back(context, source, directory, arguments.dry_run)
    standing = None
    if not arguments.dry_run:
        standing = open_licensing(context.database, directory).standing()
    if arguments.json:
        print(json.dumps(_facts(plan, standing), indent=2, ensure_ascii=False))
        return
    for line in _lines(plan, standing):
        print(line)


def _bring_back(context: Context, source: BinaryIO, directory: Path, is_dry: bool) -> Plan:
    passphrase = _given_passphrase(context.arguments.passphrase_file)
    device, person = this_device(directory), context.person()
    while True:
        try:
            if is_dry:
                return restoring.rehearse(directory, source, device, passphrase)
            return restoring.restore(directory, source, device, person, passphrase)
        except archive.WrongPassphrase:
            if not sys.stdin.isatty():
                raise
            passphrase = _asked("Passphrase of the backup: ")
            source.seek(0)


def _facts(plan: Plan, standing: Standing | None) -> dict[str, Any]:
    return {
        "made_at": utc(plan.told.made_ms),
        "version": plan.told.version or None,
        "site": plan.told.site or None,
        "schema": {"backup": plan.told.schema, "present": plan.schema_now},
        "same_device": plan.is_same_device,
        "rows": dict(plan.told.rows),
        "balance": {
            "backup": format_amount(plan.then.balance_micros),
            "present": format_amount(plan.present.balance_micros) if plan.present else None,
        },
        "lost": None
        if plan.lost is None
        else {
            "calls": plan.lost.calls,
            "calls_cost": format_amount(plan.lost.calls_micros),
            "recharges": plan.lost.payments,
            "recharged": format_amount(plan.lost.payments_micros),
            "changes": plan.lost.changes,
        },
        "balances_that_differ": [
            {"extension": one.extension, "present": _amount(one.now_micros), "backup": _amount(one.then_micros)}
            for one in plan.differences
        ],
        "kept_aside": str(plan.aside) if plan.aside else None,
        "faults": list(standing.faults) if standing else [],
    }


def _amount(micros: int | None) -> str | None:
    return None if micros is None else format_amount(micros)


def _lines(plan: Plan, standing: Standing | None) -> Iterator[str]:
    told, origin = plan.told, f", on {plan.told.site}" if plan.told.site else ""
    yield f"The backup is whole: made {utc(told.made_ms)}{origin}, schema {told.schema}, {_counts(told)}."
    yield "Its books are sound: balances, holds, ledger, calls and totals agree."
    yield from _changed(plan)
    yield "The trial goes on as it stands on this device; a backup neither begins it anew nor makes it longer."
    if standing is None:
        yield "Nothing was changed."
    else:
        if plan.aside:
            yield f"What was there before is kept: {plan.aside}"
        yield f"Restored. Sign in with the passwords of the backup. To start billing: systemctl start {UNITS}"
        yield from (f"note   The restore is done; of trial and license here: {fault}" for fault in standing.faults)
    if plan.is_same_device is False:
        yield (
            "The backup is of another device, and so is its license: write the source file of this one with "
            "`coovox-billing license source billing.ac`, or download it in Addons, Billing; send it to the distributor "
            "and upload what comes back. Until then the trial counts."
        )


def _changed(plan: Plan) -> Iterator[str]:
    if plan.present is None or plan.lost is None:
        yield (
            "There was no database here yet, so nothing is replaced."
            if plan.is_first
            else "There is no database now that could be read."
        )
        return
    yield (
        f"Balances: {format_amount(plan.then.balance_micros)} on {_extensions(plan.then.accounts)} in the backup, "
        f"{format_amount(plan.present.balance_micros)} on {plan.present.accounts} now (schema {plan.schema_now})."
    )
    lost = plan.lost
    yield (
        f"What came after the backup and is not in it: "
        f"{counted(lost.calls, 'call', 'calls')} for {format_amount(lost.calls_micros)}, "
        f"{counted(lost.payments, 'recharge', 'recharges')} of {format_amount(lost.payments_micros)}, "
        f"{counted(lost.changes, 'change', 'changes')}."
    )
    for one in plan.differences[:_SHOWN_DIFFERENCES]:
        now, then = _amount(one.now_micros) or "none", _amount(one.then_micros) or "none"
        yield f"  extension {one.extension}: {now} now, {then} in the backup"
    if len(plan.differences) > _SHOWN_DIFFERENCES:
        yield f"  and {len(plan.differences) - _SHOWN_DIFFERENCES} more: --json lists all"


def _status(context: Context) -> None:
    plan, state = context.database.read(services.plan), services.state(context.config.data)
    settings = context.database.read(lambda c: {name: reads.setting(c, name) for name in _SETTINGS})
    known = services.secrets(context.config.data)
    facts = {
        "scheduled": plan.schedule is not None,
        **{name: text if text is not None else site_setting(name).default for name, text in settings.items()},
        "encrypted": "passphrase" in known,
        "secrets": sorted(known),
        "last_good_at": utc(state.good_ms) if state.good_ms else None,
        "last_good": state.good_name or None,
        "failures": state.failures,
        "failed_at": utc(state.failed_ms) if state.failures else None,
        "why": state.failure or None,
    }
    if context.arguments.json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    on = f"at {facts['backup_at']}, {_days_in_words(str(facts['backup_days']))}" if plan.schedule else "off"
    print(f"Scheduled   {on}")
    print(f"To          {facts['backup_to'] or context.config.data / schema.BACKUPS}")
    print(f"Encrypted   {'yes' if facts['encrypted'] else 'no'}")
    print(f"Last good   {facts['last_good_at'] or 'none'}  {facts['last_good'] or ''}".rstrip())
    if state.failures:
        times = "once" if state.failures == 1 else f"{state.failures} times"
        print(f"FAULT  failed {times} since, at {facts['failed_at']} because {facts['why']}")


def _days_in_words(numbers: str) -> str:
    names = [name for number, name in enumerate(_DAYS, start=1) if str(number) in numbers]
    return "every day" if len(names) == len(_DAYS) else ", ".join(names)


def _now(context: Context) -> None:
    directory = context.config.data
    state = keeping.back_up(
        context.database, directory, this_device(directory), wall_clock_ms(), lambda: sleep(_PAUSE_SECONDS)
    )
    print(f"{state.good_name} is kept: {_size_in_words(state.good_bytes)}")


def _size_in_words(count: int) -> str:
    return f"{count / 1_000_000:.1f} MB" if count >= 1_000_000 else f"{count / 1000:.1f} kB"


def _list(context: Context) -> None:
    rows = [{"name": one.name, "bytes": one.size} for one in services.state(context.config.data).stored]
    context.show(rows, ("name", "bytes"), "none yet: `coovox-billing backups now` makes one")


def _fetch(context: Context) -> None:
    name, target = context.arguments.name, context.arguments.file
    if target == _TO_STDOUT:
        keeping.fetch(context.database, context.config.data, name, sys.stdout.buffer)
        return
    with _new_file(Path(target)) as out:
        keeping.fetch(context.database, context.config.data, name, out)
    print(f"{target} is written")


def _secret(context: Context) -> None:
    arguments, directory, person = context.arguments, context.config.data, context.person()
    name, text = arguments.name, "" if arguments.remove else _secret_text(arguments.name, arguments.file)
    if text:
        services.check_secret(name, text)
    context.database.write(lambda c: services.keep_secrets(c, directory, {name: text}, person))
    print(f"{name} is {'stored' if text else 'forgotten'}")


def _secret_text(name: str, file: str | None) -> str:
    if file:
        try:
            with Path(file).open("rb") as opened:
                text = opened.read(services.SECRETS[name] + 2).decode("utf-8", "surrogateescape")
        except OSError as error:
            raise BadInput("%(file)s cannot be read: %(reason)s", file=file, reason=error.strerror) from None
    else:
        text = _asked(f"{name}: ")
    text = text if name == "sftp-key" else text.strip("\r\n")
    if not text:
        raise BadInput("there is nothing in it: give what is to be stored")
    return text
