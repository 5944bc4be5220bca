"""Reads Asterisk's devices with their names over AMI, each technology for itself.

What follows from them is `core.devices`' to decide.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import count, takewhile

from coovox_billing.core.devices import Found, Kind, Listing
from coovox_billing.core.whole_number import parse_whole
from coovox_billing.errors import BadInput, SetupError
from coovox_billing.pbx.ami import Ami, AmiAddress, AmiError, AmiGone, Message
from coovox_billing.pbx.manager import signed_in
from coovox_billing.services.accounts import MAX_NAME_LENGTH

MAX_CHANNEL = 10_000

UNKNOWN_ACTION = "invalid/unknown command"
NO_ENDPOINTS = "no endpoints found"

# A socket with FXO signaling has a telephone in it; all else is a line to the outside.
PHONE_SIGNALING = "FXO"
# The channels of its calls are not named after it (DAHDI/i1/988360046-1), and no extension's number is in them.
ISDN = "ISDN"
AS_RECEIVED = "asreceived"

_CALLER_ID = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^<"]*))\s*(?:<([^>]*)>)?\s*')

CallerId = tuple[str, str]


def read_devices(address: AmiAddress) -> list[Listing]:
    """Connect, ask for every technology, disconnect.

    Raises:
        SetupError: there is no connection, or it broke.
    """
    return asyncio.run(_read_over(address))


async def _read_over(address: AmiAddress) -> list[Listing]:
    async with signed_in(address) as ami:
        return await list_devices(ami)


async def list_devices(ami: Ami) -> list[Listing]:
    """The devices of each technology that Asterisk may have.

    Raises:
        SetupError: the connection broke.
    """
    return [await _list(ami, technology, ask) for technology, ask in _TECHNOLOGIES.items()]


async def _list(ami: Ami, technology: str, ask: Callable[[Ami], Awaitable[list[Found]]]) -> Listing:
    try:
        found = await ask(ami)
        return Listing(technology, tuple(sorted(found, key=lambda f: (len(f.device), f.device))))
    except AmiError as error:
        if UNKNOWN_ACTION in str(error).lower():
            return Listing(technology, is_loaded=False)
        return Listing(technology, trouble=error.sentence)
    except AmiGone as error:
        if not ami.is_ready:
            raise SetupError(
                "nothing was changed, the connection to Asterisk's manager broke: %(why)s", why=error.sentence
            ) from None
        return Listing(technology, trouble=error.sentence)


async def _pjsip(ami: Ami) -> list[Found]:
    try:
        endpoints = await ami.listing("PJSIPShowEndpoints")
    except AmiError as error:
        if str(error).lower().startswith(NO_ENDPOINTS):
            return []
        raise
    return [await _pjsip_endpoint(ami, e.get("ObjectName"), bool(e.get("OutboundAuths"))) for e in endpoints]


async def _pjsip_endpoint(ami: Ami, endpoint: str, signs_in: bool) -> Found:
    try:
        details = await ami.listing("PJSIPShowEndpoint", {"Endpoint": endpoint})
    except AmiError:
        details = []  # gone since it was listed
    caller_id = next((detail.get("Callerid") for detail in details if detail.get("Event") == "EndpointDetail"), "")
    name, number = parse_caller_id(caller_id)
    return Found(f"PJSIP/{endpoint}", name, number, Kind.CARRIER if signs_in else Kind.PHONE)


async def _sip(ami: Ami) -> list[Found]:
    """Of peers in a database Asterisk lists those that it happens to remember."""
    return [await _sip_peer(ami, peer) for peer in await ami.listing("SIPpeers")]


async def _sip_peer(ami: Ami, peer: Message) -> Found:
    try:
        detail = await ami.action("SIPshowpeer", {"Peer": peer.get("ObjectName")})
        name, number = parse_caller_id(detail.get("Callerid"))
    except AmiError:
        name, number = "", ""
    is_lasting = peer.get("RealtimeDevice", "no").lower() == "no"
    return Found(f"SIP/{peer.get('ObjectName')}", name, number, is_lasting=is_lasting)


async def _iax(ami: Ami) -> list[Found]:
    return [await _iax_peer(ami, peer.get("ObjectName")) for peer in await ami.listing("IAXpeerlist")]


async def _iax_peer(ami: Ami, peer: str) -> Found:
    """The list has no caller ID; a function of the dialplan tells it."""
    name, number = [await _value_of(ami, f"IAXPEER({peer},{part})") for part in ("callerid_name", "callerid_num")]
    return Found(f"IAX2/{peer}", clean_name(name), number)


async def _value_of(ami: Ami, expression: str) -> str:
    try:
        return (await ami.action("Getvar", {"Variable": expression})).get("Value")
    except AmiError:
        return ""


async def _dahdi(ami: Ami) -> list[Found]:
    """The list has no caller IDs either; they are in the configuration, unless that is too long to be sent."""
    channels = await ami.listing("DAHDIShowChannels")
    try:
        caller_ids = dahdi_caller_ids(await ami.action("GetConfig", {"Filename": "chan_dahdi.conf"}))
    except (AmiError, AmiGone):
        caller_ids = {}
    sockets = [channel for channel in channels if not channel.get("Signalling").startswith(ISDN)]
    return [_dahdi_socket(channel, caller_ids) for channel in sockets]


def _dahdi_socket(channel: Message, caller_ids: Mapping[str, CallerId]) -> Found:
    socket = channel.get("DAHDIChannel")
    if not channel.get("Signalling").startswith(PHONE_SIGNALING):
        return Found(f"DAHDI/{socket}", kind=Kind.LINE)
    name, number = caller_ids.get(socket, ("", ""))
    return Found(f"DAHDI/{socket}", name or clean_name(channel.get("Description")), number, Kind.PORT)


def dahdi_caller_ids(config: Message) -> dict[str, CallerId]:
    """Name and number by channel, of the answer of GetConfig for chan_dahdi.conf.

    In `[channels]` a caller ID holds for the `channel` lines below it; any
    other section is about the channels of its `dahdichan` alone.
    """
    found: dict[str, CallerId] = {}
    for section, settings in _sections(config):
        caller_id = ("", "")
        for key, value in settings:
            if key == "callerid":
                caller_id = ("", "") if value == AS_RECEIVED else parse_caller_id(value)
            elif section == "channels" and key == "channel":
                found |= dict.fromkeys(_channels(value), caller_id)
        if section != "channels":
            own = [channel for key, value in settings if key == "dahdichan" for channel in _channels(value)]
            found |= dict.fromkeys(own, caller_id)
    return found


def _sections(config: Message) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    for section in count():
        name = config.get(f"Category-{section:06d}")
        if not name:
            return
        lines = takewhile(bool, (config.get(f"Line-{section:06d}-{line:06d}") for line in count()))
        pairs = [line.partition("=") for line in lines]
        yield name, [(key.strip().lower(), value.strip()) for key, _, value in pairs]


def _channels(text: str) -> list[str]:
    """The channels of `1-4,6`; what is none is left out."""
    channels: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        try:
            start = parse_whole(first.strip(), 1, MAX_CHANNEL)
            channels += range(start, parse_whole(last.strip() or first.strip(), start, MAX_CHANNEL) + 1)
        except BadInput:
            continue
    return [str(channel) for channel in channels]


def parse_caller_id(text: str) -> CallerId:
    """Name and number of `"Front desk" <100>`; one alone counts as a number if it is one."""
    match = _CALLER_ID.fullmatch(text)
    if match is None:
        return clean_name(text), ""
    quoted, bare, number = match.groups()
    name = clean_name(re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare)
    if number is None and name.isdigit():
        return "", name
    return name, "" if number in (None, "unknown") else number.strip()


def clean_name(text: str) -> str:
    """A name as an account may have it."""
    return "".join(sign for sign in text if sign.isprintable()).strip()[:MAX_NAME_LENGTH].strip()


_TECHNOLOGIES: Mapping[str, Callable[[Ami], Awaitable[list[Found]]]] = {
    "PJSIP": _pjsip,
    "SIP": _sip,
    "IAX2": _iax,
    "DAHDI": _dahdi,  # the last, because its configuration may be more than the connection takes
}
