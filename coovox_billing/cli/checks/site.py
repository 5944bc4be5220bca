"""The site: books, license, rates, extensions and trunks. Everything here reads the database."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from coovox_billing.cli.checks.look import PATIENCE_SECONDS, Check, Look, note
from coovox_billing.cli.context import counted
from coovox_billing.core import rate_reach
from coovox_billing.core.emergency_numbers import NUMBERS_OF_COUNTRIES
from coovox_billing.core.payer import extension_of
from coovox_billing.core.rate_reach import Idle
from coovox_billing.services import activation, backups, condition, trunks
from coovox_billing.services.condition import Condition
from coovox_billing.store import probe, reads
from coovox_billing.store.audit import audit
from coovox_billing.store.rate_index import StoredRates
from coovox_billing.this_device import open_licensing

T = TypeVar("T")

MOST_NAMED = 10
STEPS_BETWEEN_LOOKS = 20_000
COUNTRIES_FILE = Path("/usr/share/zoneinfo/zone.tab")
SEND_FOR_LICENSE = (
    "Send what `license source FILE` writes to your distributor; then run: coovox-billing license upload FILE"
)


def check_integrity(look: Look) -> list[Condition]:
    """The pages of the file, as far as they are read in time."""
    faults = _read_in_time(look, probe.faults_of_pages)
    if faults is None:
        return [Condition("database pages", "so many that they were not read to the end here")]
    finding = f"the file is damaged: {'; '.join(faults)}"
    return [Condition("database pages", finding, condition.ADVICE[probe.Trouble.DAMAGED])] if faults else []


def _read_in_time(look: Look, job: Callable[[sqlite3.Connection], T]) -> T | None:
    """What a job that reads has found, None where it takes too long."""
    try:
        return look.context.database.read(_within(PATIENCE_SECONDS / 2, job))
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return None


def check_books(look: Look) -> list[Condition]:
    """What `audit` proves, as far as it comes in time."""
    findings = _read_in_time(look, audit)
    if findings is None:
        return [Condition("books", "so many that they were not examined to the end here: run `coovox-billing audit`")]
    if findings:
        advice = "Restore a backup, or ask for help with this line."
        return [Condition("books", finding.message, advice) for finding in findings]
    return [Condition("books", "sound: balances, ledger, calls and totals agree")]


def _within(seconds: float, job: Callable[[sqlite3.Connection], T]) -> Callable[[sqlite3.Connection], T]:
    """The job, interrupted where it takes longer."""

    def bounded(connection: sqlite3.Connection) -> T:
        until = time.monotonic() + seconds
        connection.set_progress_handler(lambda: time.monotonic() > until, STEPS_BETWEEN_LOOKS)
        return job(connection)

    return bounded


def check_billing(look: Look) -> list[Condition]:
    """Whether anything is billed at all."""
    if look.context.database.read(activation.is_active):
        return [Condition("billing", "active")]
    return [Condition("billing", "not active, calls pass unbilled", "Run: coovox-billing activation on")]


def check_license(look: Look) -> list[Condition]:
    """The trial and the license, and what the owner was told of them on the page."""
    standing = open_licensing(look.context.database, look.config.data).standing()
    if standing.is_barred:
        return [Condition("license", "the trial is over, billing users cannot sign in", SEND_FOR_LICENSE)]
    if standing.license is not None:
        return [Condition("license", f"{standing.license.number}, for good")]
    finding = "; ".join(["none, the trial is not over", *standing.faults])
    if standing.faults:
        return [note("license", finding, "The page Billing says more; before the trial is over it must be put right.")]
    if standing.trial is None:
        return [Condition("license", finding)]
    days = _days(standing.days_left or 0)
    if standing.is_soon_over:
        return [note("license", f"{finding}: it is over in {days}", SEND_FOR_LICENSE)]
    return [Condition("license", f"{finding}: {days} are left")]


def _days(count: int) -> str:
    return counted(count, "day", "days")


def check_calls(look: Look) -> list[Condition]:
    """The calls that need a person."""
    return look.context.database.read(lambda connection: condition.check_calls(connection, look.now_ms))


def check_backup(look: Look) -> list[Condition]:
    """Whether the last good backup is as young as it is meant to be."""
    if look.context.database.read(backups.plan).schedule is None:
        advice = "Addons, Billing, Backups schedules them; or run: coovox-billing setting set backup_at 02:30"
        return [note("backup", "none is scheduled, so a dead disk takes all data with it", advice)]
    return [look.context.database.read(lambda connection: backups.check(connection, look.config.data, look.now_ms))]


def check_trunks(look: Look) -> list[Condition]:
    """Trunks whose answers are strange, and trunks that are somebody's telephone too."""
    database = look.context.database
    known = database.read(lambda connection: trunks.overview(connection, look.now_ms))
    strange = [Condition(f"trunk {trunk.device}", trunk.suspicion, trunk.advice) for trunk in known if trunk.suspicion]
    extensions = _open_extensions(look)
    owners = {device: extension for extension, devices in extensions.items() for device in devices}
    owners |= {
        f"{trunk.device}": extension_of(trunk.device) for trunk in known if extension_of(trunk.device) in extensions
    }
    both = [
        Condition(
            f"trunk {trunk.device}",
            f"it is a trunk and the telephone of extension {owners[trunk.device]}: as a trunk it never pays, so what "
            "that extension dials has no payer",
            f"If it is a telephone, run: coovox-billing trunk remove {trunk.device}; and see why a route dials it.",
        )
        for trunk in known
        if trunk.device in owners
    ]
    return [*strange, *both] or [Condition("trunks", "none answers suspiciously soon")]


def check_extensions(look: Look) -> list[Condition]:
    """Telephones that pay for one extension and are named after another, and closed extensions that are back."""
    extensions = _open_extensions(look)
    return [
        note(
            f"extension {extension}",
            f"it lists {device}, so extension {extension_of(device)}'s own telephone is paid for by {extension}",
            f'If that is wrong, run: coovox-billing extension set {extension} --devices "OTHERS"',
        )
        for extension, devices in extensions.items()
        for device in sorted(devices)
        if extension_of(device) in extensions and extension_of(device) != extension
    ]


def check_rates(look: Look) -> list[Condition]:
    """Billed extensions that no rate prices, and rates that price nothing."""
    database = look.context.database
    site = database.read(reads.site)
    accounts = [row for row in database.read(reads.newest_accounts) if row["closed_at_ms"] is None]
    billed = [row["extension"] for row in accounts if row["billing"]]
    unpriced = database.read(lambda c: rate_reach.unpriced_extensions(StoredRates(c).in_order(), billed))
    found = list(_unpriced(unpriced, site.when_no_rate))
    known = [row["extension"] for row in accounts]
    first, count = database.read(lambda c: _first_idle(rate_reach.idle_rates(StoredRates(c), known)))
    found += [
        note(
            f"rate {one.rate.id}",
            f"no call can be priced by it (prefix {one.rate.prefix or 'none'}): {one.why}",
            "Change it, or make it inactive, on the page Rates or with `coovox-billing rate export` and `import`.",
        )
        for one in first
    ]
    if count > MOST_NAMED:
        more = counted(count - MOST_NAMED, "more rate", "more rates")
        found.append(note("rates", f"{more} can price no call", "See those above first."))
    return found or [Condition("rates", "each billed extension has some, and each can price a call")]


def _first_idle(idle: Iterator[Idle]) -> tuple[list[Idle], int]:
    """The oldest of them, and how many there are: as many as rates, so that they are not kept."""
    first: list[Idle] = []
    count = 0
    for count, one in enumerate(idle, start=1):  # noqa: B007  the last one counts them
        first = sorted([*first, one], key=lambda known: known.rate.id)[:MOST_NAMED]
    return first, count


def _unpriced(extensions: Sequence[str], policy: str) -> Iterator[Condition]:
    if not extensions:
        return
    then = "passes unbilled" if policy == "allow" else "is refused with no-rate"
    finding = f"none for {_some(extensions)}, who are billed: each of their calls {then}"
    yield Condition(
        "rates", finding, "Add rates that apply to them: the page Rates, or coovox-billing rate import FILE"
    )


def check_emergency_numbers(look: Look) -> list[Condition]:
    """The numbers of the country whose time zone the site has."""
    site = look.context.database.read(reads.site)
    country = country_of(str(site.time_zone))
    missing = [number for number in NUMBERS_OF_COUNTRIES.get(country, ()) if number not in site.emergency_numbers]
    if missing:
        finding = f"the time zone is of {country}, where {_some(missing)} are such numbers too, and do not always pass"
        return [note("emergency numbers", finding, "Add those that your carrier connects: the page Settings.")]
    return [Condition("emergency numbers", f"{len(site.emergency_numbers)} always pass")]


def country_of(zone: str, file: Path = COUNTRIES_FILE) -> str:
    """The country of a time zone as ISO 3166 codes it, empty where nobody knows."""
    try:
        rows = (line.split("\t") for line in file.read_text(encoding="utf-8").splitlines() if line[:1] != "#")
        return next((row[0] for row in rows if row[2:3] == [zone]), "")
    except OSError:
        return ""


def _open_extensions(look: Look) -> dict[str, frozenset[str]]:
    """Every open extension with the devices that it lists."""
    database = look.context.database
    listed = database.read(reads.listed_devices)
    accounts = database.read(reads.newest_accounts)
    return {row["extension"]: listed.get(row["id"], frozenset()) for row in accounts if row["closed_at_ms"] is None}


def _some(words: Iterable[str]) -> str:
    """The first few of many."""
    named = list(words)
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return f"{', '.join(named[:MOST_NAMED])}{more}"


CHECKS: tuple[Check, ...] = (
    check_integrity,
    check_books,
    check_billing,
    check_license,
    check_calls,
    check_backup,
    check_trunks,
    check_extensions,
    check_rates,
    check_emergency_numbers,
)
