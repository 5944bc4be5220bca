"""Speaking into a call: the caller hears that the money is nearly out (asterisk/README.md, "The warning")."""

from coovox_billing.pbx.ami import Ami


async def warn(ami: Ami, trunk_channel: str, left_seconds: int) -> None:
    """Whisper to whoever talks with the trunk's leg now, who need not be the one that dialed.

    Raises:
        AmiError, AmiGone: it was not spoken.
    """
    peer = (await ami.action("Getvar", [("Channel", trunk_channel), ("Variable", "BRIDGEPEER")])).get("Value")
    if not peer:
        return
    await ami.action(
        "Originate",
        [
            ("Channel", "Local/s@coovox-billing-warning/n"),
            ("Application", "ChanSpy"),
            ("Data", f"{peer},qWEs"),
            ("Variable", f"__COOVOX_SECONDS={left_seconds}"),
            ("Async", "true"),
        ],
    )
