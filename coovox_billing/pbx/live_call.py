"""One call in progress, and what Asterisk's manager is asked and told about its trunk's channel."""

import time
from dataclasses import dataclass

from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx.ami import Ami, AmiError

CUT_MARGIN_SECONDS = 0.05
UNTOLD = -1


@dataclass(slots=True)
class LiveCall:
    """A call in progress; instants are of `time.monotonic()`.

    `limit_seconds` is what Asterisk was told last, None for no limit. `is_timed`: nothing speaks against `answered`, so
    the time since is our own. `seen_seconds` is the talk at its last sign of life; `is_missing` that the last complete
    list of channels does not have it.
    """

    call_id: str
    channel: str
    uniqueid: str
    answered: float
    is_timed: bool
    seen_seconds: float
    limit_seconds: int | None = UNTOLD
    review_at: float = 0.0
    is_warned: bool = False
    is_missing: bool = False

    @property
    def talked_seconds(self) -> float:
        """Seconds since the answer."""
        return time.monotonic() - self.answered

    def see(self) -> None:
        """Its channel is there."""
        self.seen_seconds, self.is_missing = self.talked_seconds, False

    def left_seconds(self, limit_seconds: int) -> float:
        """Seconds of talk until a limit; negative beyond it."""
        return limit_seconds - self.talked_seconds


async def is_there(ami: Ami, live: LiveCall) -> bool:
    """Whether the channel that we know is still this call's: names and Uniqueids come again after a restart.

    Raises:
        AmiGone: there is no connection.
    """
    try:
        call_id = await read_variable(ami, live.channel, dialplan.LEG_ID)
        return call_id == live.call_id and await read_variable(ami, live.channel, "UNIQUEID") == live.uniqueid
    except AmiError:
        return False


async def tell_limit(ami: Ami, live: LiveCall, limit_seconds: int | None) -> None:
    """Move the channel's hard limit, or take it away. TIMEOUT(absolute) counts from when it is set; 0 is none.

    Raises:
        AmiError, AmiGone: it was not moved.
    """
    left = 0.0 if limit_seconds is None else live.left_seconds(limit_seconds) + CUT_MARGIN_SECONDS
    fields = [("Channel", live.channel), ("Variable", "TIMEOUT(absolute)"), ("Value", f"{left:.3f}")]
    await ami.action("Setvar", fields)
    live.limit_seconds = limit_seconds


async def hang_up(ami: Ami, live: LiveCall) -> None:
    """End the call as a caller would.

    Raises:
        AmiError, AmiGone: it goes on.
    """
    await ami.action("Hangup", [("Channel", live.channel), ("Cause", "16")])


async def read_variable(ami: Ami, channel: str, variable: str) -> str:
    """The value of a channel's variable or function, empty where it is not set.

    Raises:
        AmiError, AmiGone: nobody knows.
    """
    return (await ami.action("Getvar", [("Channel", channel), ("Variable", variable)])).get("Value")
