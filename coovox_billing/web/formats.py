"""How money, times and calls are written on pages: the one place of it."""

from zoneinfo import ZoneInfo

from coovox_billing.core import clock
from coovox_billing.core.call import OPEN_STATES, State
from coovox_billing.store.queries import LoggedCall

CURRENCY_SIGNS = {"USD": "$", "CNY": "¥", "EUR": "€", "GBP": "£", "Other": "¤"}

BUSY_CAUSE = "17"  # Q.850, as Asterisk's HANGUPCAUSE

REASONS = {
    "bad-number": "not a number",
    "billing-down": "billing was down",
    "dial-options": "dial options",
    "emergency": "emergency",
    "locked": "locked",
    "no-money": "no money",
    "no-payer": "no extension",
    "no-rate": "no rate",
    "not-active": "billing was off",
    "not-billed": "not billed",
}
_STATES = {
    State.ASKED: "Asked",
    State.REFUSED: "Refused",
    State.HELD: "In progress",
    State.TALKING: "In progress",
    State.SETTLED: "Answered",
    State.RELEASED: "No answer",
}


def currency_sign(currency: str) -> str:
    """The guide's sign of a currency setting."""
    return CURRENCY_SIGNS[currency]


def moment(instant_ms: int, zone: ZoneInfo) -> str:
    """The site's wall-clock time, as the guide writes it: `2019-05-31 15:03:31`."""
    return f"{clock.local_moment(instant_ms, zone):%Y-%m-%d %H:%M:%S}"


def duration(seconds: int) -> str:
    """Talk time as the guide's call log writes it: `00:03:58`."""
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}"


def is_open(call: LoggedCall) -> bool:
    """Whether the call still runs, so that neither its talk nor its cost is known."""
    return call.state in OPEN_STATES


def status(call: LoggedCall) -> str:
    """What became of a call, in words: `Refused: no money`, `In progress`."""
    words = _STATES[State(call.state)]
    if call.state == State.RELEASED and call.hangup_cause == BUSY_CAUSE:
        words = "Busy"
    return f"{words}: {REASONS.get(call.reason, call.reason)}" if call.reason else words


def caller(call: LoggedCall) -> str:
    """Who called, as the guide writes it: `Extension2[102]`; only the number where there is no name."""
    if not call.extension:
        return "no extension"
    return f"{call.name}[{call.extension}]" if call.name else call.extension
