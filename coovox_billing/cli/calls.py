"""`call list` and `audit`."""

from typing import Any

from coovox_billing.cli import call_archive
from coovox_billing.cli.context import Context, complain, listable
from coovox_billing.core.call import ALONE, ARCHIVED, CLOCK, CORRECTED, LOST, UNCOLLECTED
from coovox_billing.core.clock import iso
from coovox_billing.core.money import format_amount, format_price
from coovox_billing.core.site_settings import Site
from coovox_billing.core.whole_number import parse_whole
from coovox_billing.store.audit import audit

_COLUMNS = ("asked_at", "extension", "number", "trunk", "talk_seconds", "cost", "state", "reason")
FLAGS = (LOST, CORRECTED, ALONE, CLOCK, UNCOLLECTED, ARCHIVED)
_DEFAULT_LIMIT = 50
_MOST_CALLS = 1_000_000


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    call = commands.add_parser("call", help="the call log")
    verbs = call.add_subparsers(metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="the newest calls first")
    listing.add_argument(
        "--limit", metavar="N", default=str(_DEFAULT_LIMIT), help=f"how many; default {_DEFAULT_LIMIT}"
    )
    listing.add_argument("--flag", choices=FLAGS, default="", help="only those with this flag")
    listable(listing)
    listing.set_defaults(run=_list)
    call_archive.add_verb(verbs)
    auditing = commands.add_parser("audit", help="prove that balances, holds, ledger, calls and totals agree")
    auditing.set_defaults(run=_audit)


def _list(context: Context) -> None:
    from coovox_billing.store import queries
    from coovox_billing.store.lists.calls import CallQuery

    limit = parse_whole(context.arguments.limit, 1, _MOST_CALLS)
    flag = context.arguments.flag
    context.open_reading()
    site = queries.site()
    rows = [_row(call, site) for call in CallQuery(site.time_zone, flag=flag).page(limit)]
    empty = f"no call is flagged {flag}" if flag else "no calls yet: they appear when Asterisk asks about one"
    context.show(rows, _COLUMNS, empty)


def _row(call: Any, site: Site) -> dict[str, Any]:
    return {
        "id": call.id,
        "extension": call.extension,
        "name": call.name,
        "device": call.device,
        "number": call.number,
        "number_dialed": call.number_dialed,
        "trunk": call.trunk,
        "attempts": call.attempts,
        "asked_at": iso(call.asked_at_ms, site.time_zone),
        "ringing_at": iso(call.ringing_at_ms, site.time_zone),
        "answered_at": iso(call.answered_at_ms, site.time_zone),
        "ended_at": iso(call.ended_at_ms, site.time_zone),
        "ring_seconds": call.ring_seconds,
        "talk_seconds": call.talk_seconds,
        "cost": format_amount(call.cost_micros),
        "uncollected": format_amount(call.uncollected_micros),
        "held": format_amount(call.hold_micros),
        "limit_seconds": call.limit_seconds,
        "state": call.state,
        "reason": call.reason,
        "hangup_cause": call.hangup_cause,
        "settled_by": call.settled_by,
        "settled_late": call.settled_late,
        "flags": list(call.flags),
        "rate": _rate(call.rate) if call.rate else None,
        "why": list(call.why),
    }


def _rate(snapshot: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": snapshot["id"],
        "remark": snapshot["remark"],
        "prefix": snapshot["prefix"],
        "number_length": snapshot["number_length"],
        "initial_cost": format_price(snapshot["initial_cost_micros"]),
        "initial_time": snapshot["initial_seconds"],
        "rate": format_price(snapshot["rate_micros"]),
        "billing_unit": snapshot["unit_seconds"],
    }


def _audit(context: Context) -> int:
    findings = context.database.read(audit)
    if findings:
        complain(
            [
                *(finding.message for finding in findings),
                "the audit failed: restore a backup, or ask for help with these lines",
            ]
        )
        return 1
    print("sound: every balance, hold, ledger entry, call and total agrees")
    return 0
