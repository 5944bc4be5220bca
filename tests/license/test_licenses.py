"""Licenses: valid on their device for ever, and refused elsewhere with the reason."""

import inspect
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core import license as core
from coovox_billing.core.license import (
    Identifier,
    License,
    LicenseError,
    OtherDevice,
    OtherProduct,
    OutOfPeriod,
    PublicKey,
    Revoked,
    TooFewIdentifiers,
    Unfit,
    UnknownIssuer,
    WrongFile,
    parse_certificate,
    parse_license,
    parse_public_key,
    render_certificate,
    render_license,
    render_public_key,
    render_source,
    verify_license,
)
from tests.license import cast
from tests.license.test_source import known, moments, plain_texts

ROOT = cast.public(cast.ROOT)
TEXT = cast.license_text()

# Letters, digits and signs of all scripts, as far as they are in the Unicode of both Pythons.
names = (
    st.text(st.characters(whitelist_categories=("L", "N", "P", "Sm", "Sc", "Zs")), min_size=1, max_size=56)
    .map(lambda text: " ".join(text.split()))
    .filter(lambda text: text and not core._UNSEEN.search(text))
)
numbers = st.from_regex(r"[0-9A-Z]{1,12}(-[0-9A-Z]{1,12}){0,3}", fullmatch=True)
licenses = st.builds(
    License,
    number=numbers,
    board=plain_texts,
    issued_to=names,
    issued_at_ms=moments,
    replaces=st.none() | numbers,
    identifiers=st.sets(known, min_size=2, max_size=32).map(lambda some: tuple(sorted(some))),
    certificate=st.just(cast.ACME),
)


def verdict(text: str, hardware: cast.Hardware = cast.SONNE, revoked: frozenset[int] = frozenset()) -> License:
    return verify_license(text, ROOT, cast.identifiers(hardware), revoked)


@given(licenses)
def test_it_reads_what_it_writes(license: License) -> None:
    text = render_license(license, cast.ACME_KEY.sign)
    found = parse_license(text)
    assert render_license(found, cast.ACME_KEY.sign) == text
    assert (found.number, found.issued_to, found.identifiers) == (
        license.number,
        license.issued_to,
        license.identifiers,
    )
    assert (found.replaces, found.issued_at_ms, found.board) == (license.replaces, license.issued_at_ms, license.board)
    assert found.certificate == cast.ACME
    assert max(map(len, text.splitlines())) <= 76


@given(licenses, st.integers(0, 31))
def test_it_is_valid_with_two_thirds_of_the_device(license: License, lost: int) -> None:
    text = render_license(replace(license, issued_at_ms=cast.NOW_MS), cast.ACME_KEY.sign)
    left = license.identifiers[lost:]
    if len(left) < 2:
        expected: type[LicenseError] | None = TooFewIdentifiers
    else:
        expected = None if 3 * len(left) >= 2 * len(license.identifiers) else OtherDevice
    try:
        assert verify_license(text, ROOT, left).number == license.number
        assert expected is None
    except LicenseError as error:
        assert type(error) is expected


def test_it_is_valid_on_its_device() -> None:
    license = verdict(TEXT)
    assert (license.number, license.issued_to, license.certificate.distributor) == (
        "17-000001",
        "Hotel Sonne, Graz",
        "Acme Telecom",
    )


def test_it_is_valid_after_a_network_card_was_replaced() -> None:
    assert verdict(TEXT, cast.SONNE_REPAIRED)


def test_it_never_expires_though_its_issuer_does() -> None:
    assert verdict(cast.license_text(issued_at_ms=cast.ACME.until_ms))
    assert verdict(cast.license_text(issued_at_ms=cast.ACME.from_ms))


@pytest.mark.parametrize(
    ("text", "hardware", "error", "says"),
    [
        (TEXT, cast.MOND, OtherDevice, "for another device .CooVox U50.: 0 of the 3 hardware identifiers"),
        (TEXT, (cast.SONNE[0], *cast.MOND[1:]), OtherDevice, "1 of the 3"),
        (TEXT, cast.SONNE[:1], TooFewIdentifiers, "tells only 1"),
        (TEXT, (cast.SONNE[0], cast.SONNE[0]), TooFewIdentifiers, "tells only 1"),
        (TEXT, (), TooFewIdentifiers, "tells only 0"),
        (cast.license_text(product="coovox-fax"), cast.SONNE, OtherProduct, "for coovox-fax"),
        (
            cast.license_text(certificate=cast.certificate(product="coovox-fax")),
            cast.SONNE,
            OtherProduct,
            "for coovox-fax",
        ),
        (
            cast.license_text(issued_at_ms=cast.ACME.until_ms + 1000),
            cast.SONNE,
            OutOfPeriod,
            "issued on 2028-01-01T00:00:00Z, but Acme Telecom may issue licenses from 2026-01-01T00:00:00Z to 2027",
        ),
        (cast.license_text(issued_at_ms=cast.ACME.from_ms - 1000), cast.SONNE, OutOfPeriod, "issued on 2025-12-31"),
        (render_source(cast.source()), cast.SONNE, WrongFile, "send it to your distributor"),
        (render_certificate(cast.ACME, cast.ROOT.sign), cast.SONNE, WrongFile, "no license file"),
        ("hello", cast.SONNE, WrongFile, "no license file"),
    ],
)
def test_it_says_why_it_refuses(text: str, hardware: cast.Hardware, error: type[LicenseError], says: str) -> None:
    with pytest.raises(error, match=says) as raised:
        verdict(text, hardware)
    assert type(raised.value) is error


def test_it_refuses_what_a_revoked_distributor_issued_and_nobody_elses() -> None:
    with pytest.raises(Revoked, match="has revoked certificate 17 of the distributor Acme Telecom"):
        verdict(TEXT, revoked=frozenset({3, 17}))
    assert verdict(TEXT, revoked=frozenset({3, 18}))


@pytest.mark.parametrize("role", ["root", "distributor"])
def test_it_reads_a_public_key_in_its_role_alone(role: str) -> None:
    text = render_public_key(PublicKey(role, "CooVox", ROOT), cast.ROOT.sign)
    assert parse_public_key(text, role) == PublicKey(role, "CooVox", ROOT)
    other = "root" if role == "distributor" else "distributor"
    with pytest.raises(WrongFile, match=f"public key of a {role}, not of a {other}"):
        parse_public_key(text, other)


def test_it_takes_no_public_key_from_somebody_who_has_not_the_private_one() -> None:
    text = render_public_key(PublicKey("distributor", "Acme Telecom", cast.public(cast.ACME_KEY)), cast.STRANGER.sign)
    with pytest.raises(core.Damaged, match="public key was damaged"):
        parse_public_key(text, "distributor")


def test_it_reads_a_certificate_as_it_was_written() -> None:
    assert parse_certificate(render_certificate(cast.ACME, cast.ROOT.sign)) == cast.ACME


@pytest.mark.parametrize(
    "changes",
    [
        {"number": "17-1\n"},
        {"number": "a"},
        {"number": ""},
        {"replaces": "none"},
        {"issued_to": ""},
        {"issued_to": " Hotel"},
        {"issued_to": "Hotel\nLicense: 1"},
        {"issued_to": "Hotel \u202eennoS"},
        {"issued_to": "Hotel\u200b Sonne"},
        {"issued_to": "Hotel\u00a0Sonne"},
        {"issued_to": "Hotel\u3000Sonne"},
        {"issued_to": "Hotel\x00"},
        {"issued_to": "Hotel \ud800"},
        {"issued_to": "\u2066Hotel\u2069"},
        {"issued_to": "Hotel\U000e0041"},
        {"issued_to": "x" * 57},
        {"board": "\u0421ooVox U50"},
        {"issued_at_ms": -1},
        {"identifiers": (Identifier("mac", "A" * 32), Identifier("mac", "1" * 32))},
    ],
)
def test_it_signs_nothing_that_could_be_read_otherwise(changes: dict[str, object]) -> None:
    with pytest.raises(Unfit):
        cast.license_text(**changes)


def test_it_signs_nothing_for_a_device_that_could_be_any() -> None:
    with pytest.raises(TooFewIdentifiers):
        cast.license_text(cast.SONNE[:1])


@pytest.mark.parametrize("text", ["Hotel Sonne", "Отель «Солнце»", "太阳酒店", "فندق الشمس", "Café №1 – “Été” & Co."])
def test_it_takes_names_of_all_scripts(text: str) -> None:
    assert verdict(cast.license_text(issued_to=text)).issued_to == text


def test_its_errors_keep_the_sentence_and_its_values_for_translators() -> None:
    with pytest.raises(OtherDevice) as raised:
        verdict(TEXT, cast.MOND)
    assert raised.value.values == {"number": "17-000001", "board": "CooVox U50", "matching": 0, "named": 3}
    assert str(raised.value) == raised.value.message % raised.value.values


def test_each_error_can_be_told_from_the_others() -> None:
    errors = [found for _, found in inspect.getmembers(core, inspect.isclass) if issubclass(found, LicenseError)]
    assert all(error.__base__ is LicenseError for error in errors if error is not LicenseError)
    assert len(errors) == 11


def test_it_refuses_a_certificate_for_the_root_key_itself() -> None:
    own = cast.certificate(cast.ROOT)
    with pytest.raises(UnknownIssuer, match=re.escape("Acme Telecom (certificate 17) is no distributor")):
        verdict(cast.license_text(key=cast.ROOT, certificate=own))
