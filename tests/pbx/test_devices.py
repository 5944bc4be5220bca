"""What Asterisk's manager tells of devices, and what counts as no answer."""

import asyncio
import socket
from collections.abc import Mapping

import pytest

from coovox_billing.core.devices import Found, Kind, Listing
from coovox_billing.errors import SetupError
from coovox_billing.pbx import devices
from coovox_billing.pbx.ami import AmiAddress, AmiError, AmiGone, Message

Answer = list[str] | AmiError | AmiGone
UNKNOWN = AmiError("Invalid/unknown command: X. Use Action: ListCommands to show available commands.")
NOTHING_LOADED: dict[str, Answer] = dict.fromkeys(
    ("PJSIPShowEndpoints", "SIPpeers", "IAXpeerlist", "DAHDIShowChannels"), UNKNOWN
)
CHAN_DAHDI = (
    "Response: Success\nCategory-000000: trunkgroups\nCategory-000001: channels\n"
    "Line-000001-000000: signalling=fxo_ks\nLine-000001-000001: callerid=\"Kitchen\" <103>\n"
    "Line-000001-000002: channel=5,7-8\nLine-000001-000003: callerid=asreceived\n"
    "Line-000001-000004: channel=1-4\nLine-000001-000005: channel=none,9-6,0,99999999999\n"
    "Category-000002: lobby\nLine-000002-000000: dahdichan=12\nLine-000002-000001: callerid=Lobby <102>"
)  # fmt: skip


class Manager:
    """Asterisk's manager, as far as `devices` asks it: answers by action, or by action and its one field."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = {**NOTHING_LOADED, **answers}
        self.is_ready = True

    async def listing(self, name: str, fields: Mapping[str, str] | None = None) -> list[Message]:
        answer = self._answers[" ".join((name, *(fields or {}).values()))]
        if isinstance(answer, AmiError | AmiGone):
            raise answer
        return [Message(text.replace("\n", "\r\n")) for text in answer]

    async def action(self, name: str, fields: Mapping[str, str] | None = None) -> Message:
        return (await self.listing(name, fields))[0]


def _read(**answers: Answer) -> dict[str, Listing]:
    spelled = {name.replace("__", " "): answer for name, answer in answers.items()}
    return _read_from(Manager(spelled))


def _read_from(manager: Manager) -> dict[str, Listing]:
    listings = asyncio.run(devices.list_devices(manager))  # type: ignore[arg-type]
    return {listing.technology: listing for listing in listings}


def _endpoint(name: str, caller_id: str) -> list[str]:
    return [
        f"Event: EndpointDetail\nObjectName: {name}\nCallerid: {caller_id}",
        f"Event: AuthDetail\nObjectName: {name}\nCallerid: wrong",
    ]


def test_it_reads_endpoints_with_their_names() -> None:
    pjsip = _read(
        PJSIPShowEndpoints=["Event: EndpointList\nObjectName: 100", "ObjectName: carrier\nOutboundAuths: carrier"],
        PJSIPShowEndpoint__100=_endpoint("100", '"Front desk" <100>'),
        PJSIPShowEndpoint__carrier=_endpoint("carrier", ""),
    )["PJSIP"]
    assert pjsip.found == (
        Found("PJSIP/100", "Front desk", "100"),
        Found("PJSIP/carrier", kind=Kind.CARRIER),
    )


def test_it_reads_an_endpoint_that_went_away_meanwhile() -> None:
    pjsip = _read(
        PJSIPShowEndpoints=["ObjectName: 100"], PJSIPShowEndpoint__100=AmiError("Unable to retrieve endpoint 100")
    )["PJSIP"]
    assert (pjsip.found, pjsip.trouble) == ((Found("PJSIP/100"),), "")


def test_it_reads_peers_and_does_not_count_on_those_of_a_database() -> None:
    sip = _read(
        SIPpeers=["ObjectName: 210\nRealtimeDevice: no", "ObjectName: 211\nRealtimeDevice: yes", "ObjectName: 212"],
        SIPshowpeer__210=['Callerid: "Jane" <210>'],
        SIPshowpeer__211=['Callerid: "" <>'],
        SIPshowpeer__212=AmiError("Peer 212 not found."),
    )["SIP"]
    assert sip.found == (Found("SIP/210", "Jane", "210"), Found("SIP/211", is_lasting=False), Found("SIP/212"))


def test_it_reads_names_of_iax_peers_from_the_function_that_tells_them() -> None:
    iax = _read(
        IAXpeerlist=["ObjectName: 310", "ObjectName: branch"],
        **{
            "Getvar__IAXPEER(310,callerid_name)": ["Value: Kate"],
            "Getvar__IAXPEER(310,callerid_num)": ["Value: 310"],
            "Getvar__IAXPEER(branch,callerid_name)": ["Value: "],
            "Getvar__IAXPEER(branch,callerid_num)": AmiError("Permission denied"),
        },
    )["IAX2"]
    assert iax.found == (Found("IAX2/310", "Kate", "310"), Found("IAX2/branch"))


SOCKETS = [
    "DAHDIChannel: 1\nSignalling: FXS Kewlstart",
    "DAHDIChannel: 5\nSignalling: FXO Kewlstart",
    "DAHDIChannel: 6\nSignalling: FXO Loopstart\nDescription: Gate",
    "DAHDIChannel: 12\nSignalling: FXO Kewlstart\nDescription: Hall",
    "DAHDIChannel: 31\nSignalling: ISDN PRI",
]


def test_it_reads_sockets_and_whose_telephones_they_hold() -> None:
    dahdi = _read(DAHDIShowChannels=SOCKETS, **{"GetConfig__chan_dahdi.conf": [CHAN_DAHDI]})["DAHDI"]
    assert dahdi.found == (
        Found("DAHDI/1", kind=Kind.LINE),
        Found("DAHDI/5", "Kitchen", "103", Kind.PORT),
        Found("DAHDI/6", "Gate", "", Kind.PORT),
        Found("DAHDI/12", "Lobby", "102", Kind.PORT),
    )


@pytest.mark.parametrize("error", [AmiError("Config file not found"), AmiGone("the peer is malformed")], ids=str)
def test_it_reads_sockets_without_the_configuration(error: AmiError | AmiGone) -> None:
    dahdi = _read(DAHDIShowChannels=SOCKETS, **{"GetConfig__chan_dahdi.conf": error})["DAHDI"]
    assert dahdi.found[1:3] == (
        Found("DAHDI/5", kind=Kind.PORT),
        Found("DAHDI/6", "Gate", kind=Kind.PORT),
    )


def test_it_gives_a_caller_id_to_the_channels_below_it() -> None:
    caller_ids = devices.dahdi_caller_ids(Message(CHAN_DAHDI.replace("\n", "\r\n")))
    kitchen, nobody = ("Kitchen", "103"), ("", "")
    assert caller_ids == {
        "5": kitchen, "7": kitchen, "8": kitchen, "1": nobody, "2": nobody, "3": nobody, "4": nobody,
        "12": ("Lobby", "102"),
    }  # fmt: skip


def test_it_takes_a_technology_that_asterisk_does_not_know_for_not_there() -> None:
    assert {listing.is_loaded for listing in _read().values()} == {False}
    assert list(_read()) == ["PJSIP", "SIP", "IAX2", "DAHDI"]


def test_it_takes_asterisks_word_for_no_endpoints_for_an_empty_answer() -> None:
    assert _read(PJSIPShowEndpoints=AmiError("No endpoints found"))["PJSIP"] == Listing("PJSIP")


@pytest.mark.parametrize(
    "error",
    [AmiError("Permission denied"), AmiError("Asterisk counts 9 items and sent 3"), AmiGone("no answer in 10 s")],
    ids=str,
)
def test_it_tells_of_an_answer_that_is_not_whole(error: AmiError | AmiGone) -> None:
    listings = _read(PJSIPShowEndpoints=error, IAXpeerlist=[])
    assert listings["PJSIP"] == Listing("PJSIP", trouble=str(error))
    assert listings["IAX2"] == Listing("IAX2")


def test_it_tells_of_a_list_whose_details_do_not_come() -> None:
    pjsip = _read(PJSIPShowEndpoints=["ObjectName: 100"], PJSIPShowEndpoint__100=AmiGone("no answer in 10 s"))["PJSIP"]
    assert pjsip == Listing("PJSIP", trouble="no answer in 10 s")


def test_it_gives_up_when_the_connection_breaks() -> None:
    manager = Manager({"PJSIPShowEndpoints": AmiGone("Asterisk closed the connection")})
    manager.is_ready = False
    with pytest.raises(SetupError, match="Asterisk closed the connection"):
        _read_from(manager)


def test_it_gives_up_where_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = AmiAddress("127.0.0.1", server.getsockname()[1], "coovox-billing", "secret")
        monkeypatch.setattr("coovox_billing.pbx.manager.READY_SECONDS", 0.2)
        with pytest.raises(SetupError, match="not ready"):
            devices.read_devices(address)
    with pytest.raises(SetupError, match="no connection"):
        devices.read_devices(address)


@pytest.mark.parametrize(
    ("text", "name", "number"),
    [
        ('"Front desk" <100>', "Front desk", "100"),
        ("Front desk <100>", "Front desk", "100"),
        ("<100>", "", "100"),
        ("100", "", "100"),
        ("Front desk", "Front desk", ""),
        ('"" <>', "", ""),
        ('"The ""great"" one" <100>', '"The ""great"" one" <100>', ""),
        (r'"The \"great\" one" <100>', 'The "great" one', "100"),
        ("<unknown>", "", ""),
        ("", "", ""),
        ('"Bell\x07 ring" <100>', "Bell ring", "100"),
        ("Ünü <100>", "Ünü", "100"),
        (f'"{"x" * 200}" <100>', "x" * 80, "100"),
    ],
)
def test_it_reads_a_caller_id(text: str, name: str, number: str) -> None:
    assert devices.parse_caller_id(text) == (name, number)
