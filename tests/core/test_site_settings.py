"""The table of site settings: every check lets the good through tidied and names the bad."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core.site_settings import SITE_SETTINGS, SiteSetting, parse_site, site_setting
from coovox_billing.errors import BadInput, NotFound

GOOD = [
    ("currency", "EUR", "EUR"),
    ("currency", "Other", "Other"),
    ("time_zone", "Europe/Madrid", "Europe/Madrid"),
    ("time_zone", "UTC", "UTC"),
    ("language", "auto", "auto"),
    ("language", "ar", "ar"),
    ("date_format", "DD.MM.YYYY", "DD.MM.YYYY"),
    ("date_format", "language", "language"),
    ("time_format", "24", "24"),
    ("time_format", "language", "language"),
    ("plus_prefix", "00", "00"),
    ("plus_prefix", "90011", "90011"),
    ("emergency_numbers", "112", "112"),
    ("emergency_numbers", "112, 911,0112  112", "112 911 0112"),
    ("when_no_rate", "allow", "allow"),
    ("when_billing_is_down", "allow", "allow"),
    ("calls_without_payer", "pass", "pass"),
    ("calls_without_payer", "refuse", "refuse"),
    ("calls_without_payer", "100", "100"),
    ("longest_call_seconds", "1", "1"),
    ("longest_call_seconds", "86400", "86400"),
    ("longest_call_seconds", "0060", "60"),
    ("grace_seconds", "0", "0"),
    ("grace_seconds", "3600", "3600"),
    ("warning_seconds", "0", "0"),
    ("warning_seconds", "300", "300"),
    ("low_balance", "2.5", "2.5000"),
    ("low_balance", "0", "0.0000"),
    ("locking_ends_calls", "yes", "yes"),
    ("locking_ends_calls", "no", "no"),
    ("backup_at", "off", "off"),
    ("backup_at", "02:30", "02:30"),
    ("backup_days", "7531", "1357"),
    ("backup_to", "", ""),
    ("backup_to", "usb:/media/stick", "usb:/media/stick"),
    ("backup_to", "sftp://keeper@nas.lan/billing", "sftp://keeper@nas.lan/billing"),
    ("backup_keep", " 07  0 12", "7 0 12"),
    ("backup_host_key", "", ""),
    ("backup_host_key", f"SHA256:{'a' * 43}", f"SHA256:{'a' * 43}"),
    ("backup_s3_region", "eu-central-1", "eu-central-1"),
    ("self_service", "voicemail", "voicemail"),
    ("self_service_address", "", ""),
    ("self_service_address", "https://pbx.example/billing/self", "https://pbx.example/billing/self"),
]
BAD = [
    ("currency", "usd"),
    ("currency", "BTC"),
    ("currency", ""),
    ("time_zone", ""),
    ("time_zone", "Europe"),
    ("time_zone", "Madrid"),
    ("time_zone", "../etc/localtime"),
    ("time_zone", "/etc/localtime"),
    ("time_zone", "Europe/Madrid\0"),
    ("language", ""),
    ("language", "de"),
    ("language", "es_MX"),
    ("date_format", ""),
    ("date_format", "%d"),
    ("time_format", "%H"),
    ("plus_prefix", ""),
    ("plus_prefix", "+"),
    ("plus_prefix", "123456789"),
    ("plus_prefix", "٠٠"),
    ("emergency_numbers", ""),
    ("emergency_numbers", " , "),
    ("emergency_numbers", "112 help"),
    ("emergency_numbers", "1" * 17),
    ("emergency_numbers", "١١٢"),
    ("when_no_rate", "pass"),
    ("when_no_rate", ""),
    ("when_billing_is_down", "Refuse"),
    ("calls_without_payer", "allow"),
    ("calls_without_payer", ""),
    ("calls_without_payer", "100 101"),
    ("longest_call_seconds", "0"),
    ("longest_call_seconds", "86401"),
    ("longest_call_seconds", "-1"),
    ("longest_call_seconds", "4h"),
    ("longest_call_seconds", "1.5"),
    ("longest_call_seconds", "²"),
    ("longest_call_seconds", "9" * 5_000),
    ("grace_seconds", "-1"),
    ("grace_seconds", "3601"),
    ("warning_seconds", "301"),
    ("low_balance", "-0.0001"),
    ("low_balance", "0.00001"),
    ("low_balance", "little"),
    ("warning_seconds", "half"),
    ("locking_ends_calls", "Yes"),
    ("locking_ends_calls", "on"),
    ("backup_at", "24:00"),
    ("backup_at", "2:30"),
    ("backup_days", "08"),
    ("backup_to", "ftp://nas.lan/billing"),
    ("backup_to", "billing"),
    ("backup_keep", "7 4"),
    ("backup_keep", "7 4 some"),
    ("backup_host_key", "MD5:00"),
    ("backup_s3_region", "eu_central"),
    ("self_service", "on"),
    ("self_service", "PIN"),
    ("self_service_address", "pbx.example/self"),
    ("self_service_address", "javascript:alert(1)"),
    ("self_service_address", "https://pbx.example/ self"),
    ("self_service_address", "https://" + "x" * 120),
]


@pytest.mark.parametrize(("name", "text", "stored"), GOOD)
def test_it_takes_what_is_possible_and_tidies_it(name: str, text: str, stored: str) -> None:
    assert site_setting(name).check(text) == stored


@pytest.mark.parametrize(("name", "text"), BAD, ids=[f"{name}={text[:20]!r}" for name, text in BAD])
def test_it_refuses_and_names_what_is_not(name: str, text: str) -> None:
    wrong = text.strip(" ,\0").rpartition(" ")[2]
    with pytest.raises(BadInput) as refused:
        site_setting(name).check(text)
    assert wrong[:20] in str(refused.value)


@pytest.mark.parametrize("setting", SITE_SETTINGS, ids=lambda setting: setting.name)
def test_it_has_tests_for_every_setting(setting: SiteSetting) -> None:
    assert setting.name in {name for name, *_ in GOOD}
    assert setting.name in {name for name, *_ in BAD}


@pytest.mark.parametrize("setting", [s for s in SITE_SETTINGS if s.default], ids=lambda setting: setting.name)
def test_it_takes_its_own_defaults_unchanged(setting: SiteSetting) -> None:
    assert setting.check(setting.default) == setting.default


@given(st.sampled_from(SITE_SETTINGS), st.text())
def test_it_refuses_garbage_with_bad_input_alone(setting: SiteSetting, text: str) -> None:
    try:
        assert setting.check(setting.check(text)) == setting.check(text)
    except BadInput as error:
        assert str(error)


def test_it_does_not_know_settings_that_are_not_there() -> None:
    with pytest.raises(NotFound, match="'color'"):
        site_setting("color")


def test_it_parses_the_defaults_of_the_contract() -> None:
    site = parse_site({})
    assert (site.currency, site.when_no_rate, site.when_billing_is_down) == ("USD", "refuse", "refuse")
    assert (site.calls_without_payer, site.plus_prefix, site.longest_call_seconds) == ("pass", "00", 4 * 3600)
    assert {"112", "0112", "911", "9911"} <= site.emergency_numbers


def test_it_parses_what_is_stored() -> None:
    site = parse_site({"time_zone": "Asia/Kolkata", "emergency_numbers": "112 100", "longest_call_seconds": "60"})
    assert site.time_zone.key == "Asia/Kolkata"
    assert site.emergency_numbers == {"112", "100"}
    assert site.longest_call_seconds == 60
