"""Who pays: the device that caused the leg, in order, and never a trunk."""

import pytest

from coovox_billing.core.payer import Origin, Payer, device_of, extension_of, find_payer, trunks_of

TRUNKS = frozenset({"PJSIP/carrier", "DAHDI/g1"})
RECEPTION = "PJSIP/100-0000000a"
SALES = "PJSIP/101-0000000b"
LOBBY = "PJSIP/102-0000000c"
OUTSIDE = "PJSIP/carrier-0000000d"
FORWARD = "Local/988360046@from-internal-0000000e;2"

WHO_PAYS = [
    ("the phone that dialed", Origin(RECEPTION), "PJSIP/100"),
    ("who transferred blindly", Origin(SALES, transferer_channel=RECEPTION), "PJSIP/100"),
    ("whose phone forwarded", Origin(FORWARD, forwarder_channel=SALES), "PJSIP/101"),
    ("the transferer before the forwarder", Origin(FORWARD, "", RECEPTION, SALES, LOBBY), "PJSIP/100"),
    ("the forwarder before the own device", Origin(RECEPTION, forwarder_channel=SALES), "PJSIP/101"),
    ("the own device before an inherited one", Origin(RECEPTION, inherited_channel=SALES), "PJSIP/100"),
    ("the inherited one of a Local channel", Origin(FORWARD, inherited_channel=SALES), "PJSIP/101"),
    ("nobody behind a bare Local channel", Origin(FORWARD), ""),
    ("no outside caller", Origin(OUTSIDE), ""),
    ("who sent an outside caller out again", Origin(OUTSIDE, transferer_channel=RECEPTION), "PJSIP/100"),
    (
        "who forwarded an outside caller",
        Origin(FORWARD, forwarder_channel=SALES, inherited_channel=OUTSIDE),
        "PJSIP/101",
    ),
    (
        "the dialer, not the trunk that transferred",
        Origin(RECEPTION, transferer_channel=OUTSIDE),
        "PJSIP/100",
    ),
    ("no trunk inherited by a Local channel", Origin(FORWARD, inherited_channel=OUTSIDE), ""),
    ("no Local channel that forwarded", Origin(RECEPTION, forwarder_channel=FORWARD), "PJSIP/100"),
]


@pytest.mark.parametrize(("origin", "device"), [case[1:] for case in WHO_PAYS], ids=[case[0] for case in WHO_PAYS])
def test_it_bills_the_device_that_caused_the_leg(origin: Origin, device: str) -> None:
    assert find_payer(origin, TRUNKS) == Payer(device=device)


def test_it_believes_trusted_dialplan_before_all_others() -> None:
    assert find_payer(Origin(RECEPTION, "102", SALES, SALES, SALES), TRUNKS) == Payer(extension="102")


GATEWAY = "PJSIP/gw-0000000f"
BEHIND_A_GATEWAY = [
    ("the caller ID", Origin(GATEWAY, caller_id="205"), Payer(extension="205")),
    ("trusted dialplan before it", Origin(GATEWAY, "102", caller_id="205"), Payer(extension="102")),
    ("the gateway without one", Origin(GATEWAY), Payer(device="PJSIP/gw")),
    ("the gateway with none of digits", Origin(GATEWAY, caller_id="anonymous"), Payer(device="PJSIP/gw")),
    ("the gateway with one too long", Origin(GATEWAY, caller_id="2" * 41), Payer(device="PJSIP/gw")),
    ("no caller ID of another's phone", Origin(RECEPTION, caller_id="205"), Payer(device="PJSIP/100")),
    ("who transferred", Origin(GATEWAY, "", RECEPTION, caller_id="205"), Payer(device="PJSIP/100")),
    ("a gateway that transferred", Origin(SALES, "", GATEWAY, caller_id="101"), Payer(device="PJSIP/gw")),
    ("a gateway that another phone behind it transferred", Origin(GATEWAY, "", GATEWAY, caller_id="205"),
     Payer(device="PJSIP/gw")),
    ("a gateway that forwarded", Origin(FORWARD, "", "", GATEWAY, caller_id="101"), Payer(device="PJSIP/gw")),
    ("a gateway inherited", Origin(FORWARD, inherited_channel=GATEWAY, caller_id="101"), Payer(device="PJSIP/gw")),
    ("no gateway that is a trunk", Origin(OUTSIDE, caller_id="205"), Payer()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("origin", "payer"), [case[1:] for case in BEHIND_A_GATEWAY], ids=[case[0] for case in BEHIND_A_GATEWAY]
)
def test_it_believes_the_caller_id_of_a_trusted_gateway_alone(origin: Origin, payer: Payer) -> None:
    assert find_payer(origin, TRUNKS, {"PJSIP/gw", "PJSIP/carrier"}) == payer


def test_it_believes_no_caller_id_by_default() -> None:
    assert find_payer(Origin(GATEWAY, caller_id="205"), TRUNKS) == Payer(device="PJSIP/gw")


@pytest.mark.parametrize(
    ("channel", "device"),
    [
        ("PJSIP/100-0000000a", "PJSIP/100"),
        ("PJSIP/my-desk-phone-0000000a", "PJSIP/my-desk-phone"),
        ("SIP/100-0000000a", "SIP/100"),
        ("IAX2/branch-1234", "IAX2/branch"),
        ("DAHDI/1-1", "DAHDI/1"),
        ("DAHDI/i1/988360046-1", "DAHDI/i1"),
        ("DAHDI/i2/-3", "DAHDI/i2"),
        ("Local/100@from-internal-0000000a;1", "Local/100@from-internal"),
        ("PJSIP/100", "PJSIP/100"),
    ],
)
def test_it_cuts_a_channels_name_at_the_last_dash(channel: str, device: str) -> None:
    assert device_of(channel) == device


@pytest.mark.parametrize(
    ("device", "extension"), [("PJSIP/100", "100"), ("SIP/my-desk", "my-desk"), ("100", ""), ("", "")]
)
def test_it_takes_a_devices_own_number_by_default(device: str, extension: str) -> None:
    assert extension_of(device) == extension


@pytest.mark.parametrize(
    ("dial_string", "trunks"),
    [
        ("PJSIP/988360046@carrier", ["PJSIP/carrier"]),
        ("SIP/carrier/988360046", ["SIP/carrier"]),
        ("SIP/988360046@carrier", ["SIP/carrier"]),
        ("DAHDI/g1/988360046", ["DAHDI/g1"]),
        ("IAX2/box:secret@branch/988360046", ["IAX2/branch"]),
        ("PJSIP/1@carrier&PJSIP/1@backup", ["PJSIP/carrier", "PJSIP/backup"]),
        ("PJSIP/1@my-carrier", ["PJSIP/my-carrier"]),
        ("Local/988360046@from-internal", []),
        ("Local/1@from-internal/n&PJSIP/1@carrier", ["PJSIP/carrier"]),
        ("PJSIP/", []),
        ("", []),
        ("&", []),
    ],
)
def test_it_reads_the_trunks_of_a_dial_string(dial_string: str, trunks: list[str]) -> None:
    assert trunks_of(dial_string) == trunks


def test_it_reads_the_endpoint_before_a_full_sip_address() -> None:
    assert trunks_of("PJSIP/carrier/sip:988360046@203.0.113.7:5060") == ["PJSIP/carrier"]


def test_it_takes_technologies_in_any_case_as_asterisk_does() -> None:
    assert trunks_of("local/1@from-internal&pjsip/1@carrier") == ["PJSIP/carrier"]
