"""How money, times and calls are written on pages: the one place of it."""

from zoneinfo import ZoneInfo

from coovox_billing.core import clock
from coovox_billing.core.call import ALONE, CLOCK, CORRECTED, LOST, OPEN_STATES, UNCOLLECTED, Source, State
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
_SETTLED_BY = {
    Source.SETTLE: "Asterisk, when it ended",
    Source.ASTDB: "what Asterisk kept while billing was away (AstDB)",
    Source.CEL: "Asterisk's records of what happened (CEL)",
    Source.CDR: "Asterisk's call records (CDR)",
    Source.RULE: "nobody: closed by rule, charged up to its last sign of life",
}
_FLAGS = {
    ALONE: "passed while billing was away",
    CLOCK: "the clock was set during the call",
    CORRECTED: "closed by rule first, then corrected",
    LOST: "look at it: nobody told how it ended",
    UNCOLLECTED: "not all of the cost could be collected",
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


def facts(call: LoggedCall, zone: ZoneInfo) -> list[tuple[str, str]]:
    """What else is known of a call: names and values, only those that there are."""
    instants = {
        "Asked": call.asked_at_ms,
        "Ringing": call.ringing_at_ms,
        "Answered": call.answered_at_ms,
        "Ended": call.ended_at_ms,
    }
    told = {
        "Device": call.device,
        "Dialed": call.number_dialed if call.number_dialed != call.number else "",
        **{name: moment(instant_ms, zone) for name, instant_ms in instants.items() if instant_ms is not None},
        "Attempts": str(call.attempts) if call.attempts > 1 else "",
        "Hangup cause": call.hangup_cause,
        "End told by": _SETTLED_BY[Source(call.settled_by)] if call.settled_by else "",
        "Flags": "; ".join(_FLAGS[flag] for flag in call.flags),
        "Call id": call.id,
    }
    return [(name, text) for name, text in told.items() if text]
