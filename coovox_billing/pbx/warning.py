"""Speaking into a call: the caller hears that the money is nearly out (asterisk/README.md, "The warning")."""

from coovox_billing.pbx.ami import Ami
from coovox_billing.pbx.live_call import read_variable

CONTEXT = "coovox-billing-warning"
ATTACH_MS = "5000"
# One exact channel, not all whose names begin so (u); heard by it alone (W); no beep (q) nor announcement (s);
# over when the channel is gone (ES).
CHANSPY_OPTIONS = "quWESs"


async def warn(ami: Ami, trunk_channel: str, left_seconds: int) -> bool:
    """Whisper to whoever talks with the trunk's leg now, who need not be the one that dialed.

    False where nobody does, as while the leg is parked.

    Raises:
        AmiError, AmiGone: it was not spoken.
    """
    peer = (await read_variable(ami, trunk_channel, "BRIDGEPEER")).partition(",")[0]
    if not peer:
        return False
    language = await read_variable(ami, peer, "CHANNEL(language)")
    variables = {"COOVOX_SECONDS": str(left_seconds), "COOVOX_LANGUAGE": language, "CDR_PROP(disable)": "1"}
    await ami.action(
        "Originate",
        [
            ("Channel", f"Local/s@{CONTEXT}/n"),
            ("Application", "ChanSpy"),
            ("Data", f"{peer},{CHANSPY_OPTIONS}"),
            ("Timeout", ATTACH_MS),
            ("Async", "true"),
            *(("Variable", f"{name}={value}") for name, value in variables.items()),
        ],
    )
    return True
