"""Calls to the outside that the dialplan makes without billing, and emergency numbers that it does not reach.

What is dialed is taken for the outside where a number is sent to some other system (`PJSIP/555@carrier`,
`DAHDI/g1/555`), or where it is a trunk that billing knows. A line that is meant to be free says so itself, by the
remark `coovox-billing: free` at its end.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from coovox_billing.pbx.dialplan_check import (
    SUBROUTINE,
    BilledRoute,
    Config,
    Line,
    RouteProblem,
    applications,
    billed_routes,
    dialed,
)

MEANT_FREE = "coovox-billing: free"
_UNLESS_MEANT = f"; if it is meant to be free, end that line with `; {MEANT_FREE}`"

_PATTERN_SETS = {"X": "0123456789", "Z": "123456789", "N": "23456789"}
_STRIPPED = re.compile(r"\$\{EXTEN:(\d+)\}")
_ORIGINATE = re.compile(r"(?<![\w-])(?:Originate|ChanIsAvail|Page)\s*\(\s*([^,)]+)", re.IGNORECASE)
_PLACE = re.compile(r"(exten|same)\s*=>?\s*(?:([^,]+),)?\s*([^,(]+)(?:\([^)]*\))?\s*,", re.IGNORECASE)


def places(config: Config) -> dict[Line, str]:
    """Where in the dialplan each extension's line stands: `[outbound] _9X., priority 2`."""
    found, extension, priority = {}, "", 0
    for line in config.lines:
        match = _PLACE.match(line.text)
        if match is None:
            continue
        if match[1].lower() == "exten":
            extension = (match[2] or "").strip()
        written = match[3].strip()
        priority = int(written) if written.isdecimal() else priority + 1
        found[line] = f"[{line.section}] {extension}, priority {priority}"
    return found


def direct_dials(config: Config, etc: Path, routes: Iterable[BilledRoute]) -> list[RouteProblem]:
    """The places that dial, without billing, a trunk that some billed route dials."""
    billed = {device: route.line for route in routes for device in route.devices}
    where = places(config)
    return [
        _direct(line, where.get(line, ""), device, billed[device])
        for line, text in applications(config)
        if not _is_meant_free(etc, line)
        for _, device in dialed(text)
        if device in billed
    ]


def _direct(line: Line, place: str, device: str, billed: Line) -> RouteProblem:
    message = f"{_at(line, place)} dials {device} without billing, which {billed.where} bills"
    return RouteProblem(line, message, f"put Gosub({SUBROUTINE},s,1(...)) in place of that Dial{_UNLESS_MEANT}")


def _at(line: Line, place: str) -> str:
    return f"{line.where} ({place})" if place else line.where


def unbilled_dials(config: Config, etc: Path, trunks: Collection[str] = ()) -> list[RouteProblem]:
    """The places that dial the outside and not through billing, but for those that a billed route's trunk betrays.

    `trunks` are devices that billing knows as such. `direct_dials` names what some billed route dials too.
    """
    billed = {device for route in billed_routes(config) for device in route.devices}
    where = places(config)
    return [
        _unbilled(line, where.get(line, ""), device)
        for line, text in applications(config)
        if not _is_meant_free(etc, line)
        for device in dict.fromkeys(_outside(text, trunks))
        if device not in billed
    ]


def _outside(text: str, trunks: Collection[str]) -> Iterator[str]:
    for destination, device in dialed(text):
        if device in trunks or _sends_a_number(destination):
            yield device
    for match in _ORIGINATE.finditer(text):
        for destination, device in dialed(f"Dial({match[1]})"):
            if device in trunks or _sends_a_number(destination):
                yield device


def _sends_a_number(destination: str) -> bool:
    """Whether a number is told to what is dialed, as to `PJSIP/555@carrier`, `PJSIP/carrier/sip:555@host`.

    A call to one's own telephone names the telephone alone.
    """
    _, _, resource = destination.partition("/")
    return "@" in resource or "/" in resource


def _unbilled(line: Line, place: str, device: str) -> RouteProblem:
    message = (
        f"{_at(line, place)} dials {device} without billing, so its calls cost nothing and are not in the call log"
    )
    return RouteProblem(line, message, f"put Gosub({SUBROUTINE},s,1(...)) in place of that Dial{_UNLESS_MEANT}")


def _is_meant_free(etc: Path, line: Line) -> bool:
    try:
        written = (etc / line.file).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return False
    return 0 < line.number <= len(written) and MEANT_FREE in written[line.number - 1].partition(";")[2]


def twice_named(routes: Iterable[BilledRoute]) -> list[RouteProblem]:
    """The trunks that two routes give two names, so that their calls are counted apart."""
    first: dict[str, BilledRoute] = {}
    problems = []
    for route in routes:
        for device in route.devices if len(route.devices) == 1 and "$" not in route.trunk else ():
            known = first.setdefault(device, route)
            if known.trunk != route.trunk:
                problems.append(_twice_named(known, route, device))
    return problems


def _twice_named(known: BilledRoute, route: BilledRoute, device: str) -> RouteProblem:
    message = (
        f"{route.line.where} calls the trunk {device} {_name(route)}, and {known.line.where} calls it {_name(known)}: "
        "its calls are counted as of two trunks"
    )
    return RouteProblem(route.line, message, f"give it one name in the 5th argument of {SUBROUTINE}")


def _name(route: BilledRoute) -> str:
    return f"`{route.trunk}`" if route.trunk else "nothing"


@dataclass(frozen=True)
class _Extension:
    """An extension of the dialplan's, exact or a pattern, where it stands and what its lines say."""

    context: str
    name: str
    line: Line
    texts: tuple[str, ...]

    @property
    def is_exact(self) -> bool:
        return not self.name.startswith("_")


def unreached_emergencies(config: Config, numbers: Collection[str]) -> list[RouteProblem]:
    """The emergency numbers that a billed route's pattern would send out shortened to something else.

    Of a context that has the number as an extension of its own, nothing is said: that one comes first.
    """
    routes = _extensions(config)
    contexts = {extension.context for extension in routes if _is_billed(extension)}
    problems = []
    for number in sorted(numbers, key=lambda number: (len(number), number)):
        for context in sorted(contexts):
            here = [
                extension for extension in routes if extension.context == context and matches(extension.name, number)
            ]
            best = min(here, key=_precedence, default=None)
            if best is None or best.is_exact or not _is_billed(best):
                continue
            sent = _sent(best, number)
            if sent != number and sent not in numbers:
                problems.append(_misdialed(best, number, sent))
    return problems


def _extensions(config: Config) -> list[_Extension]:
    found: dict[tuple[str, str], list[tuple[Line, str]]] = {}
    name = ""
    for line, text in applications(config):
        match = _PLACE.match(line.text)
        if match is not None and match[1].lower() == "exten":
            name = (match[2] or "").strip().partition("/")[0]
        found.setdefault((line.section, name), []).append((line, text))
    return [_Extension(c, n, lines[0][0], tuple(text for _, text in lines)) for (c, n), lines in found.items() if n]


def _is_billed(extension: _Extension) -> bool:
    return any(SUBROUTINE in text for text in extension.texts)


def _sent(extension: _Extension, number: str) -> str:
    """What the trunk is told where somebody dials the number."""
    text = next(text for text in extension.texts if SUBROUTINE in text)
    cut = _STRIPPED.search(text)
    return number[int(cut[1]) :] if cut else number


def _misdialed(extension: _Extension, number: str, sent: str) -> RouteProblem:
    where = f"{extension.line.where} ([{extension.context}] {extension.name})"
    return RouteProblem(
        extension.line,
        f"who dials the emergency number {number} is sent out as {sent or 'nothing'} by {where}",
        f"put into that context: exten => {number},1,Gosub({SUBROUTINE},s,1(${{EXTEN}},PJSIP/${{EXTEN}}@TRUNK,60)); "
        f"if {number} is none here, take it out: coovox-billing setting set emergency_numbers",
    )


def _precedence(extension: _Extension) -> tuple[bool, bool, int]:
    """Roughly Asterisk's order: exact ones first, those that take any end last, then the longer."""
    return not extension.is_exact, extension.name.endswith((".", "!")), -len(extension.name)


def matches(pattern: str, number: str) -> bool:
    """Whether a dialplan's extension takes a dialed number, as Asterisk reads patterns."""
    if not pattern.startswith("_"):
        return pattern == number
    at, signs = 0, pattern[1:].replace("-", "") if "[" not in pattern else pattern[1:]
    while at < len(signs):
        sign = signs[at]
        if sign in ".!":
            return bool(number) or sign == "!"
        if sign == "[":
            end = signs.find("]", at)
            allowed, at = _set(signs[at + 1 : end]), end
        else:
            allowed = _PATTERN_SETS.get(sign.upper(), sign)
        if not number or number[0] not in allowed:
            return False
        number, at = number[1:], at + 1
    return not number


def _set(text: str) -> str:
    """`[1-35]` as `1235`."""
    return re.sub(r"(\d)-(\d)", lambda m: "".join(str(n) for n in range(int(m[1]), int(m[2]) + 1)), text)
