"""`extension sync`: the extensions as Asterisk has them, and what was done for it."""

import json
from collections.abc import Sequence
from typing import Any

from coovox_billing.cli.context import Context, counted, listable, silence_log
from coovox_billing.core.devices import KnownAccount, Listing, Plan
from coovox_billing.core.money import format_amount
from coovox_billing.errors import SetupError
from coovox_billing.services import devices


def add_verb(verbs: Any) -> None:
    """Add `sync` to the verbs of `extension`."""
    syncing = verbs.add_parser("sync", help="make the extensions what Asterisk's devices say")
    syncing.add_argument("--dry-run", action="store_true", help="only show what would be done")
    listable(syncing)
    syncing.set_defaults(run=_sync)


def question(extension: str) -> str:
    """What a person is asked about an extension that came back after its account was closed."""
    return (
        f"extension {extension} was closed and is there again, with all that it had: "
        f"`extension set {extension} --recreated continue` if it is the same, "
        f"`extension set {extension} --recreated new` for an empty account"
    )


def _sync(context: Context) -> None:
    from coovox_billing.pbx.devices import read_devices
    from coovox_billing.pbx.manager import manager_address, what_to_do

    manager = manager_address(context.config.ami)
    if manager is None:
        raise SetupError("sync asks Asterisk's manager. %(advice)s", advice=what_to_do(context.config.ami))
    silence_log()
    listings = read_devices(manager)
    person, dry_run = context.person(), context.arguments.dry_run
    if dry_run:
        done = context.database.read(lambda c: devices.plan(c, listings))
    else:
        done = context.database.write(lambda c: devices.sync(c, listings, person))
    if context.arguments.json:
        print(json.dumps(_report(listings, done, dry_run), indent=2, ensure_ascii=False))
    else:
        start = ["dry run: nothing is changed"] if dry_run else []
        questions = [] if dry_run else [question(number) for number, _ in _by_number(done.reopened)]
        changes = _changes(done) or ["nothing to change"]
        print("\n".join([*start, *_answers(listings, done), *changes, *_left(done), *questions]))


def _report(listings: Sequence[Listing], done: Plan, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "technologies": [
            {
                "technology": listing.technology,
                "loaded": listing.is_loaded,
                "devices": len(listing.found),
                "trouble": done.troubles.get(listing.technology, ""),
            }
            for listing in listings
        ],
        "added": [_extension(number, name, done) for number, name in _by_number(done.opened)],
        "back": [_extension(number, account.name, done) for number, account in _by_number(done.reopened)],
        "renamed": [_extension(number, name, done) for number, name in _by_number(done.renamed)],
        "given": [{"device": device, "extension": number} for device, number in done.devices.items()],
        "closed": [
            {"number": number, "name": account.name, "balance": format_amount(account.balance_micros)}
            for number, account in _by_number(done.closed)
        ],
        "trunks": done.lines,
        "kept": [{"number": number, "why": why} for number, why in _by_number(done.kept)],
        "skipped": [{"device": device, "why": why} for device, why in done.skipped.items()],
    }


def _extension(number: str, name: str, done: Plan) -> dict[str, Any]:
    return {"number": number, "name": name, "devices": list(done.present[number])}


def _by_number(mapping: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(mapping.items(), key=lambda item: (len(item[0]), item[0]))


def _answers(listings: Sequence[Listing], done: Plan) -> list[str]:
    return [f"{listing.technology}: {_answer(listing, done)}" for listing in listings]


def _answer(listing: Listing, done: Plan) -> str:
    trouble = done.troubles.get(listing.technology)
    if trouble:
        return f"no full answer, so nothing of it is closed: {trouble}"
    return counted(len(listing.found), "device", "devices") if listing.is_loaded else "not there"


def _changes(done: Plan) -> list[str]:
    return [
        *(f"added {number} {_who(name, number, done)}" for number, name in _by_number(done.opened)),
        *(f"back {number} {_who(a.name, number, done)}" for number, a in _by_number(done.reopened)),
        *(f"renamed {number} {_who(name, number, done)}" for number, name in _by_number(done.renamed)),
        *(f"gave {device} to {number}" for device, number in done.devices.items()),
        *(f"closed {number} {_what_is_kept(account)}" for number, account in _by_number(done.closed)),
    ]


def _left(done: Plan) -> list[str]:
    return [
        *(f"kept {number}, which is not in the answer: {why}" for number, why in _by_number(done.kept)),
        *(f"skipped {device}: {why}" for device, why in done.skipped.items()),
    ]


def _who(name: str, number: str, done: Plan) -> str:
    return f"{name} ({', '.join(done.present[number])})".strip()


def _what_is_kept(account: KnownAccount) -> str:
    return f"{account.name} (its balance of {format_amount(account.balance_micros)} is kept)".strip()
