"""What Asterisk's devices mean for the extensions: who is new, back, renamed, or gone (DESIGN §3).

Pure: what was found and what is known come in as arguments. Absence is
believed only where a technology answered in full, and only of a device that
an earlier answer held.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from coovox_billing.core.extension_number import is_all_digits, is_extension
from coovox_billing.core.payer import extension_of
from coovox_billing.sentences import Sentence


class Kind(StrEnum):
    """What stands behind a device, as far as Asterisk tells."""

    PHONE = "phone"
    PORT = "port"  # a telephone whose device is named after its socket: DAHDI/5
    LINE = "line"  # a socket for a line to the outside
    CARRIER = "carrier"  # Asterisk signs in there


@dataclass(frozen=True, slots=True)
class Found:
    """A device that Asterisk has; `name` and `number` are the caller ID that Asterisk's own settings give it.

    `is_lasting` is false where the device may be missing from the next answer
    and still be there, as those that Asterisk reads from a database.
    """

    device: str
    name: str = ""
    number: str = ""
    kind: Kind = Kind.PHONE
    is_lasting: bool = True


@dataclass(frozen=True, slots=True)
class Listing:
    """A technology's answer. `trouble` says why it is not whole; one that is not loaded was not asked for more."""

    technology: str
    found: tuple[Found, ...] = ()
    is_loaded: bool = True
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """An open account, or the newest closed one of a number that has no open one. `devices` are those it lists."""

    id: int
    extension: str
    name: str = ""
    devices: frozenset[str] = frozenset()
    balance_micros: int = 0
    is_open: bool = True
    is_billed: bool = False
    is_in_call: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What billing knows: `seen` are the devices of earlier answers with the names they had then."""

    accounts: Sequence[KnownAccount] = ()
    trunks: Collection[str] = frozenset()
    gateways: Collection[str] = frozenset()
    seen: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Plan:
    """What to do with which extension: names, in `closed` and `reopened` the account, in `kept` a reason.

    By device: in `devices` the extension that it now belongs to, in `skipped`
    a reason, in `seen` the name it has. `present` are the devices of each
    extension, `troubles` the technologies that did not answer in full.
    """

    opened: dict[str, str] = field(default_factory=dict)
    reopened: dict[str, KnownAccount] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    devices: dict[str, str] = field(default_factory=dict)
    closed: dict[str, KnownAccount] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    present: dict[str, tuple[str, ...]] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)


def plan(listings: Sequence[Listing], known: Known) -> Plan:
    """What the answers mean for what is known."""
    return _Planner(listings, known).plan()


class _Planner:
    def __init__(self, listings: Sequence[Listing], known: Known) -> None:
        self._listings = {listing.technology: listing for listing in listings}
        self._found = [found for listing in listings for found in listing.found]
        self._known = known
        self._by_number = {account.extension: account for account in known.accounts}
        self._by_device = {device: account for account in known.accounts for device in account.devices}
        self._numbers = {extension_of(f.device) for f in self._found if is_all_digits(extension_of(f.device))}
        self._seen_by_number = self._by_owner(known.seen)
        self._plan = Plan()

    def plan(self) -> Plan:
        present: dict[str, list[Found]] = {}
        for found in self._found:
            extension = self._extension_of(found)
            if extension:
                present.setdefault(extension, []).append(found)
        for extension, devices in present.items():
            self._welcome(extension, devices)
        absent = [a for a in self._known.accounts if a.is_open and a.extension not in present]
        self._plan.troubles = self._troubles(absent)
        for account in absent:
            self._part_from(account)
        return self._plan

    def _extension_of(self, found: Found) -> str:
        """The extension that a device belongs to; empty for one that belongs to none, and the plan says why."""
        own = extension_of(found.device)
        account = self._by_number.get(own)
        if found.device in self._known.trunks:
            return self._skip(found, Sentence("a trunk: outbound routes dial it"))
        if found.device in self._by_device:
            return self._by_device[found.device].extension
        if found.kind is Kind.LINE and not (account and account.is_open and account.is_billed):
            self._plan.lines.append(found.device)
            return self._skip(found, Sentence("a line to the outside, so it is a trunk"))
        if account is not None and (account.is_open or found.kind is Kind.PHONE):
            return own
        if found.kind is Kind.CARRIER:
            advice = Sentence(
                "Asterisk signs in there, so it is a trunk",
                hint="`extension add %(own)s` if it is an extension",
                own=own,
            )
            return self._skip(found, advice)
        if found.kind is Kind.PORT:
            advice = Sentence(
                "nothing says whose telephone it is",
                hint='`extension set EXT --devices "%(device)s"`',
                device=found.device,
            )
            return found.number if is_all_digits(found.number) else self._skip(found, advice)
        return own if is_all_digits(own) else self._extension_of_named(found, own)

    def _extension_of_named(self, found: Found, own: str) -> str:
        """A phone whose name is no number: an extension of that name, if its caller ID is a number of nobody else."""
        if found.device in self._known.gateways:
            return self._skip(found, Sentence("a gateway: the caller ID of its telephones is trusted"))
        if not is_extension(own):
            return self._skip(found, Sentence("its name cannot be an extension's number"))
        number = found.number
        if not is_all_digits(number):
            advice = Sentence(
                "neither its name nor its caller ID is a number",
                hint="`extension add %(own)s` if it is an extension",
                own=own,
            )
            return self._skip(found, advice)
        if number in self._by_number or number in self._numbers:
            advice = Sentence(
                "its caller ID is %(number)s",
                hint='`extension set %(number)s --devices "%(device)s"` if it is one of its',
                number=number,
                device=found.device,
            )
            return self._skip(found, advice)
        return own

    def _skip(self, found: Found, why: str) -> str:
        self._plan.skipped[found.device] = why
        return ""

    def _welcome(self, extension: str, devices: list[Found]) -> None:
        account = self._by_number.get(extension)
        name = next((found.name for found in devices if found.name), "")
        self._plan.present[extension] = tuple(found.device for found in devices)
        if account is None:
            self._plan.opened[extension] = name
        elif not account.is_open:
            self._plan.reopened[extension] = account
        else:
            self._rename(account, devices)
        for found in devices:
            if extension_of(found.device) != extension and found.device not in self._by_device:
                self._plan.devices[found.device] = extension
            if found.is_lasting:
                self._plan.seen[found.device] = found.name
        self._plan.seen |= {d: n for d, n in self._seen_of(account).items() if self._listing_of(d).trouble}

    def _rename(self, account: KnownAccount, devices: list[Found]) -> None:
        """A name that a person wrote stays: only an empty one, and one that came from the device, follows Asterisk."""
        for found in devices:
            if not found.name:
                continue
            if account.name != found.name and account.name in ("", self._known.seen.get(found.device)):
                self._plan.renamed[account.extension] = found.name
            return

    def _part_from(self, account: KnownAccount) -> None:
        seen = self._seen_of(account)
        if not seen:
            return
        why = next(filter(None, map(self._why_maybe_there, sorted({*account.devices, *seen}))), "")
        if account.is_in_call and not why:
            why = Sentence("it is in a call")
        if why:
            self._plan.kept[account.extension] = why
            self._plan.seen |= seen
        else:
            self._plan.closed[account.extension] = account

    def _why_maybe_there(self, device: str) -> str:
        technology = device.partition("/")[0]
        listing = self._listing_of(device)
        if technology not in self._listings:
            return Sentence("nobody can say whether %(device)s is there", device=device)
        if technology in self._plan.troubles:
            return Sentence("%(technology)s did not answer in full", technology=technology)
        if not listing.is_loaded and device in self._known.seen:
            return Sentence("%(technology)s is not loaded", technology=technology)
        return ""

    def _troubles(self, absent: Iterable[KnownAccount]) -> dict[str, str]:
        """By technology; an empty answer is none where extensions of that technology should be in it."""
        expected = {device.partition("/")[0] for account in absent for device in self._seen_of(account)}
        troubles = {name: listing.trouble for name, listing in self._listings.items() if listing.trouble}
        for name, listing in self._listings.items():
            if listing.is_loaded and not listing.found and name in expected:
                trouble = Sentence("the answer was empty, though there are extensions of it")
                troubles.setdefault(name, trouble)
        return troubles

    def _seen_of(self, account: KnownAccount | None) -> dict[str, str]:
        """The devices of an account that an earlier answer held, with their names then."""
        return {} if account is None else self._seen_by_number.get(account.extension, {})

    def _by_owner(self, seen: Mapping[str, str]) -> dict[str, dict[str, str]]:
        sorted_out: dict[str, dict[str, str]] = {}
        for device, name in seen.items():
            owner = self._by_device.get(device)
            number = owner.extension if owner else extension_of(device)
            sorted_out.setdefault(number, {})[device] = name
        return sorted_out

    def _listing_of(self, device: str) -> Listing:
        technology = device.partition("/")[0]
        return self._listings.get(technology, Listing(technology, is_loaded=False))
