"""`rate list|import|export|check` and `quote`."""

import csv
import json
import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from coovox_billing.cli.context import Context, complain, listable, print_table
from coovox_billing.core.clock import local_moment, parse_moment
from coovox_billing.core.money import format_amount, format_price
from coovox_billing.core.rate_csv import parse_rates, render_rates
from coovox_billing.core.tariff import Rate
from coovox_billing.core.tariff_check import MOST_OF_A_KIND, Finding, Findings
from coovox_billing.core.whole_number import parse_whole
from coovox_billing.errors import BadInput, BillingError
from coovox_billing.services import activation, quotes, rate_check, rates
from coovox_billing.services.quotes import Quote
from coovox_billing.store import reads
from coovox_billing.store.rate_index import StoredRates

_COLUMNS = (
    "id", "active", "remark", "prefix", "number_length", "initial_cost", "initial_time", "rate", "billing_unit",
    "start_time", "end_time", "days", "extensions",
)  # fmt: skip
_QUOTE_COLUMNS = (
    "extension",
    "number",
    "at",
    "seconds",
    "cost",
    "units",
    "affordable_seconds",
    "verdict",
    "reason",
)
_CALL_COLUMNS = ["extension", "number", "at", "seconds"]
_DEFAULT_SECONDS = 60
_RATES_AT_ONCE = 500
_LONGEST_SECONDS = 10_000_000


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    rate = commands.add_parser("rate", help="the rates that price calls")
    verbs = rate.add_subparsers(metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="all rates, oldest first")
    listable(listing)
    listing.set_defaults(run=_list)
    importing = verbs.add_parser("import", help="add and change rates from a CSV file, all or nothing")
    importing.add_argument("file", metavar="FILE", help="- for standard input")
    importing.add_argument("--replace", action="store_true", help="also remove every rate that the file does not name")
    importing.set_defaults(run=_import)
    exporting = verbs.add_parser("export", help="write all rates to a CSV file")
    exporting.add_argument("file", metavar="FILE", help="- for standard output")
    exporting.set_defaults(run=_export)
    checking = verbs.add_parser("check", help="what is hardly meant so: rates that never win, hours without a rate, …")
    checking.add_argument(
        "file", metavar="FILE", nargs="?", help="a CSV file of rates to check in place of those that count"
    )
    listable(checking)
    checking.set_defaults(run=_check)
    _add_quote(commands)


def _add_quote(commands: Any) -> None:
    quote = commands.add_parser("quote", help="what a call would cost, and why")
    quote.add_argument("--extension", metavar="EXT")
    quote.add_argument("--number", metavar="DIGITS", help="as dialed")
    quote.add_argument("--at", metavar="TIME", help="like 2026-03-01T21:59:50; site time without a zone; default now")
    quote.add_argument("--seconds", metavar="N", default=str(_DEFAULT_SECONDS), help="of talk; default 60")
    quote.add_argument("--calls", metavar="FILE", help="a CSV file with the columns extension,number,at,seconds")
    listable(quote)
    quote.set_defaults(run=_quote)


def _list(context: Context) -> None:
    rows = [_rate_row(rate) for rate in context.database.read(reads.all_rates)]
    context.show(rows, _COLUMNS, "no rates yet: `coovox-billing rate import FILE` adds them")


def _rate_row(rate: Rate) -> dict[str, Any]:
    return {
        "id": rate.id,
        "active": rate.active,
        "remark": rate.remark,
        "prefix": rate.prefix,
        "number_length": rate.number_length,
        "initial_cost": format_price(rate.initial_cost_micros),
        "initial_time": rate.initial_seconds,
        "rate": format_price(rate.rate_micros),
        "billing_unit": rate.unit_seconds,
        "start_time": rate.start_time.isoformat(),
        "end_time": rate.end_time.isoformat(),
        "days": "".join(map(str, sorted(rate.days))),
        "extensions": "all" if rate.extensions is None else " ".join(sorted(rate.extensions)),
    }


def _import(context: Context) -> int:
    parsed, bad = parse_rates(_read(context.arguments.file))
    if bad:
        complain(
            [
                *bad,
                f"nothing was imported: correct {len(bad)} row{'s' * (len(bad) > 1)} and import the file again",
            ]
        )
        return 1
    if not parsed:
        raise BadInput("the file holds no rates: write one per line below the header")
    replace, person = context.arguments.replace, context.person()
    summary = context.database.write(lambda c: rates.import_rates(c, parsed, replace, person))
    print(f"{summary.added} added, {summary.changed} changed, {summary.unchanged} unchanged, {summary.removed} removed")
    if summary.unknown_extensions:
        complain([f"note: no such extension yet: {' '.join(summary.unknown_extensions)}"])
    if summary.shadowed:
        complain([f"note: {summary.shadowed} of the file's rates match the same calls as one above them and never win"])
    return 0


def _export(context: Context) -> None:
    if context.arguments.file == "-":
        context.database.read(lambda c: sys.stdout.writelines(_lines(StoredRates(c).by_age())))
        return
    path = Path(context.arguments.file)
    try:
        with path.open("w", encoding="utf-8") as file:
            context.database.read(lambda c: file.writelines(_lines(StoredRates(c).by_age())))
    except OSError as error:
        raise BadInput("cannot write %(path)s: %(reason)s", path=path, reason=error.strerror) from None


def _lines(rates: Iterator[Rate]) -> Iterator[str]:
    """The file of rates, some lines at a time."""
    yield render_rates(())
    while some := list(islice(rates, _RATES_AT_ONCE)):
        yield render_rates(some).partition("\n")[2]


def _check(context: Context) -> int:
    """Exit status 1 where something is found, as for `doctor`."""
    now_ms, file = context.person().now_ms, context.arguments.file
    if file is None:
        findings = context.database.read(lambda c: rate_check.check(c, now_ms))
    else:
        tried = _tried(context, file)
        findings = context.database.read(lambda c: rate_check.check_draft(c, tried))
    if context.arguments.json:
        print(json.dumps([_finding_row(finding) for finding in findings.told], indent=2, ensure_ascii=False))
        if findings.total > len(findings.told):
            complain([f"note: {_counted(findings)}"])
    else:
        for finding in findings.told:
            print(f"{finding.kind}: {finding.said}")
            print(f"  {finding.advice}")
        print(_counted(findings) if findings.total else "nothing was found")
    return 1 if findings.total else 0


def _counted(findings: Findings) -> str:
    if findings.total == len(findings.told):
        return f"{findings.total} found"
    return f"{findings.total} found, of each kind the first {MOST_OF_A_KIND} are told"


def _tried(context: Context, file: str) -> list[Rate]:
    """The rates of a file as they would be once they are the whole tariff."""
    parsed, bad = parse_rates(_read(file))
    if bad:
        complain([*bad])
        raise BadInput("nothing was checked: correct the rows above")
    return context.database.read(lambda c: rates.outcome(rates.plan_import(c, parsed, remove_others=True)))


def _finding_row(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "rate": finding.rate.id if finding.rate else None,
        "extension": finding.extension or None,
        "prefix": finding.beginning,
        "calls": finding.calls,
        "finding": finding.said,
        "what_to_do": finding.advice,
    }


def _quote(context: Context) -> int:
    zone = context.database.read(reads.site).time_zone
    if context.arguments.calls is not None:
        return _quote_file(context, zone)
    extension, number = context.arguments.extension, context.arguments.number
    if extension is None or number is None:
        raise BadInput("quote needs --extension and --number, or --calls FILE")
    answer = _ask(
        context, extension, number, _moment(context, zone), parse_whole(context.arguments.seconds, 0, _LONGEST_SECONDS)
    )
    if context.arguments.json:
        print(json.dumps(_quote_row(answer, zone), indent=2, ensure_ascii=False))
    else:
        _print_quote(answer)
        _print_inactivity(context)
    return 0


def _print_quote(answer: Quote) -> None:
    verdict = "pass" if answer.passes else "refused"
    reason = f" ({answer.reason})" if answer.reason else ""
    limit = "without limit" if answer.affordable_seconds is None else f"up to {answer.affordable_seconds} s affordable"
    print(f"{verdict}{reason}: {format_amount(answer.cost_micros)} for {answer.seconds} s, {limit}")
    for line in answer.why:
        print(f"  {line}")


def _print_inactivity(context: Context) -> None:
    if not context.database.read(activation.is_active):
        print("Billing is not active: until `coovox-billing activation on` calls pass unbilled.")


def _quote_file(context: Context, zone: ZoneInfo) -> int:
    rows = _rows(_read(context.arguments.calls))
    if not rows or [cell.strip() for cell in rows[0]] != _CALL_COLUMNS:
        raise BadInput("the first line must be %(columns)s", columns=",".join(_CALL_COLUMNS))
    answers: list[dict[str, Any]] = []
    bad: list[str] = []
    for line, row in enumerate(rows[1:], start=2):
        try:
            answers += [_quote_row(_quote_cells(context, row, zone), zone)] if row else []
        except BillingError as error:
            bad.append(f"line {line}: {error}")
    if bad:
        complain([*bad, f"nothing was quoted: correct {len(bad)} row{'s' * (len(bad) > 1)}"])
        return 1
    if context.arguments.json:
        print(json.dumps(answers, indent=2, ensure_ascii=False))
    elif answers:
        print_table(answers, _QUOTE_COLUMNS)
        _print_inactivity(context)
    return 0


def _rows(text: str) -> list[list[str]]:
    try:
        return list(csv.reader(text.removeprefix("\ufeff").splitlines(), strict=True))
    except csv.Error as error:
        raise BadInput("the file is not CSV: %(error)s", error=error) from None


def _quote_cells(context: Context, row: list[str], zone: ZoneInfo) -> Quote:
    if len(row) != len(_CALL_COLUMNS):
        raise BadInput("it has %(count)s columns instead of %(columns)s", count=len(row), columns=len(_CALL_COLUMNS))
    extension, number, at, seconds = (cell.strip() for cell in row)
    moment = parse_moment(at, zone) if at else _now(context, zone)
    return _ask(context, extension, number, moment, parse_whole(seconds or str(_DEFAULT_SECONDS), 0, _LONGEST_SECONDS))


def _ask(context: Context, extension: str, number: str, at: datetime, seconds: int) -> Quote:
    return context.database.read(lambda c: quotes.quote(c, extension, number, at, seconds))


def _quote_row(answer: Quote, zone: ZoneInfo) -> dict[str, Any]:
    rate = answer.rate
    return {
        "extension": answer.extension,
        "number": answer.number,
        "at": answer.at.astimezone(zone).isoformat(),
        "seconds": answer.seconds,
        "rate": {"id": rate.id, "prefix": rate.prefix, "remark": rate.remark} if rate else None,
        "cost": format_amount(answer.cost_micros),
        "units": answer.units,
        "affordable_seconds": answer.affordable_seconds,
        "verdict": "pass" if answer.passes else "refused",
        "reason": answer.reason,
        "why": list(answer.why),
    }


def _moment(context: Context, zone: ZoneInfo) -> datetime:
    if context.arguments.at is not None:
        return parse_moment(context.arguments.at, zone)
    return _now(context, zone)


def _now(context: Context, zone: ZoneInfo) -> datetime:
    return local_moment(context.person().now_ms, zone)


def _read(name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return data.decode("utf-8")
    except OSError as error:
        raise BadInput("cannot read %(name)s: %(reason)s", name=name, reason=error.strerror) from None
    except UnicodeDecodeError:
        raise BadInput("%(name)s is not UTF-8 text: save it as CSV UTF-8", name=name) from None
