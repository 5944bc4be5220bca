"""Who pays for an outbound leg: the device that caused it; the caller ID only behind a trusted gateway (DESIGN §5)."""

from collections.abc import Container
from dataclasses import dataclass

from coovox_billing.core.extension_number import is_all_digits

LOCAL = "Local"

# Dial takes technologies in any case; the names of their channels are always these.
_TECHNOLOGIES = {name.lower(): name for name in ("PJSIP", "SIP", "IAX2", "DAHDI", LOCAL)}


@dataclass(frozen=True, slots=True)
class Origin:
    """What the dialplan knows of a call's cause; an empty string is "not set".

    `trusted_payer` is an extension's number that trusted dialplan named, the
    others are Asterisk channel names, like `PJSIP/100-0000002a`. `caller_id`
    is the number that `channel` came in with.
    """

    channel: str
    trusted_payer: str = ""
    transferer_channel: str = ""
    forwarder_channel: str = ""
    inherited_channel: str = ""
    caller_id: str = ""


@dataclass(frozen=True, slots=True)
class Payer:
    """Either an extension's number that trusted dialplan named, or a device. Both empty: nobody is known."""

    extension: str = ""
    device: str = ""


def find_payer(origin: Origin, trunks: Container[str], gateways: Container[str] = ()) -> Payer:
    """The payer of an outbound leg, in the order of DESIGN §5. A trunk never pays, a Local channel has no device.

    Behind one of `gateways` the caller ID says who pays, but only for the
    channel's own device: the caller ID is not that of who transferred or
    forwarded.
    """
    if origin.trusted_payer:
        return Payer(extension=origin.trusted_payer)
    causes = (
        (origin.transferer_channel, ""),
        (origin.forwarder_channel, ""),
        (origin.channel, origin.caller_id),
        (origin.inherited_channel, ""),
    )
    for channel, caller_id in causes:
        device = device_of(channel)
        if channel and _can_pay(device, trunks):
            trusted = device in gateways and is_all_digits(caller_id)
            return Payer(extension=caller_id) if trusted else Payer(device=device)
    return Payer()


def device_of(channel: str) -> str:
    """`PJSIP/my-desk` of the channel `PJSIP/my-desk-0000002a`: all before the last dash.

    Of a call over ISDN, `DAHDI/i1/988360046-2`, it is the line, `DAHDI/i1`: the number is only this call's.
    """
    device = channel.rpartition("-")[0] or channel
    return "/".join(device.split("/")[:2]) if device.startswith("DAHDI/") else device


def spelled(device: str) -> str:
    """A device as Asterisk names it: `PJSIP/100` of `pjsip/100`."""
    technology, slash, name = device.partition("/")
    return _TECHNOLOGIES.get(technology.lower(), technology) + slash + name


def extension_of(device: str) -> str:
    """The extension's number that a device has by default: `100` of `PJSIP/100`."""
    return device.partition("/")[2]


def trunks_of(dial_string: str) -> list[str]:
    """The devices that a dial string sends outbound calls to; parallel destinations are split at `&`.

    `PJSIP/555@carrier` and `PJSIP/carrier/sip:555@host` go to `PJSIP/carrier`,
    `SIP/carrier/555` to `SIP/carrier`. A Local channel is no trunk.
    """
    return [device for device in map(_trunk_of, dial_string.split("&")) if device]


def _trunk_of(destination: str) -> str:
    technology, _, rest = spelled(destination).partition("/")
    peer = rest.partition("/")[0].rpartition("@")[2]
    return "" if not peer or technology == LOCAL else f"{technology}/{peer}"


def _can_pay(device: str, trunks: Container[str]) -> bool:
    return not device.startswith(f"{LOCAL}/") and device not in trunks
