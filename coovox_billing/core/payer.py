"""Who pays for an outbound leg: the device that caused it, never the caller ID (DESIGN §5)."""

from collections.abc import Container
from dataclasses import dataclass

TRUNK_SEPARATOR = "@"


@dataclass(frozen=True, slots=True)
class Origin:
    """What the dialplan knows of a call's cause; an empty string is "not set".

    `trusted_payer` is an extension's number that trusted dialplan named, the
    others are Asterisk channel names, like `PJSIP/100-0000002a`.
    """

    channel: str
    trusted_payer: str = ""
    transferer_channel: str = ""
    forwarder_channel: str = ""
    inherited_channel: str = ""


@dataclass(frozen=True, slots=True)
class Payer:
    """Either an extension's number that trusted dialplan named, or a device. Both empty: nobody is known."""

    extension: str = ""
    device: str = ""


def find_payer(origin: Origin, trunks: Container[str]) -> Payer:
    """The payer of an outbound leg, in the order of DESIGN §5. A trunk never pays, a Local channel has no device."""
    if origin.trusted_payer:
        return Payer(extension=origin.trusted_payer)
    causes = (origin.transferer_channel, origin.forwarder_channel, origin.channel, origin.inherited_channel)
    devices = (device_of(channel) for channel in causes if channel)
    return Payer(device=next((device for device in devices if _can_pay(device, trunks)), ""))


def device_of(channel: str) -> str:
    """`PJSIP/my-desk` of the channel `PJSIP/my-desk-0000002a`: all before the last dash."""
    return channel.rpartition("-")[0] or channel


def extension_of(device: str) -> str:
    """The extension's number that a device has by default: `100` of `PJSIP/100`."""
    return device.partition("/")[2]


def trunks_of(dial_string: str) -> list[str]:
    """The devices that a dial string sends outbound calls to.

    `PJSIP/555@carrier` goes to `PJSIP/carrier`, `SIP/carrier/555` to
    `SIP/carrier`; parallel destinations are split at `&`.
    """
    return [device for device in map(_trunk_of, dial_string.split("&")) if device]


def _trunk_of(destination: str) -> str:
    technology, _, rest = destination.partition("/")
    if not rest or technology == "Local":
        return ""
    peer = rest.rpartition(TRUNK_SEPARATOR)[2] if TRUNK_SEPARATOR in rest else rest.partition("/")[0]
    return f"{technology}/{peer.partition('/')[0]}"


def _can_pay(device: str, trunks: Container[str]) -> bool:
    return not device.startswith("Local/") and device not in trunks
