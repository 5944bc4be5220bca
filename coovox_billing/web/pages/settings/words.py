"""What site settings and their values are called, and what is wrong with a value, for forms and the log of changes."""

from collections.abc import Mapping

from coovox_billing.core.site_settings import AUTO, BY_LANGUAGE, TWELVE_HOURS, TWENTY_FOUR_HOURS, site_setting
from coovox_billing.errors import BadInput
from coovox_billing.web import reader
from coovox_billing.web.formats import CURRENCY_SIGNS
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import told


def setting_name(name: str) -> str:
    """What a setting is called."""
    return {
        "currency": _("Currency"),
        "time_zone": _("Time zone"),
        "language": _("Language"),
        "date_format": _("Date format"),
        "time_format": _("Time format"),
        "plus_prefix": _("A + at the beginning stands for"),
        "emergency_numbers": _("Emergency numbers"),
        "when_no_rate": _("A call that no rate matches"),
        "when_billing_is_down": _("While billing does not answer"),
        "calls_without_payer": _("A call that no extension caused"),
        "locking_ends_calls": _("Locking an extension"),
        "longest_call_seconds": _("Longest call (s)"),
        "grace_seconds": _("Grace while billing restarts (s)"),
        "warning_seconds": _("Warning before the money is out (s)"),
        "low_balance": _("Low balance"),
        "backup_at": _("Time of backups"),
        "backup_days": _("Days of backups"),
        "backup_to": _("Place of backups"),
        "backup_keep": _("Backups kept: days, weeks, months"),
        "backup_host_key": _("Fingerprint of the SFTP server"),
        "backup_s3_region": _("Region of the S3 storage"),
        "self_service": _("Self-service"),
        "self_service_address": _("Address of self-service"),
    }.get(name, name)


def setting_value(name: str, value: str) -> str:
    """A value of a setting; what people wrote themselves stays as it is."""
    if name == "currency":
        return currency_name(value)
    return {
        ("language", AUTO): _("What the browser asks for"),
        **{("language", code): name for code, _tag, name in reader.names()},
        ("date_format", BY_LANGUAGE): _("As the language has it"),
        ("time_format", BY_LANGUAGE): _("As the language has it"),
        ("time_format", TWENTY_FOUR_HOURS): _("24 hours"),
        ("time_format", TWELVE_HOURS): _("12 hours"),
        ("when_no_rate", "refuse"): _("Refuse"),
        ("when_no_rate", "allow"): _("Allow, not billed"),
        ("when_billing_is_down", "refuse"): _("Refuse"),
        ("when_billing_is_down", "allow"): _("Allow, without limit"),
        ("calls_without_payer", "pass"): _("Pass, not billed"),
        ("calls_without_payer", "refuse"): _("Refuse"),
        ("locking_ends_calls", "no"): _("Its calls in progress go on"),
        ("locking_ends_calls", "yes"): _("Its calls in progress end"),
        ("self_service", "off"): _("Off"),
        ("self_service", "pin"): _("With a PIN of its own"),
        ("self_service", "voicemail"): _("With the PIN of the voicemail"),
    }.get((name, value), value)


def currency_name(currency: str) -> str:
    """A currency as the guide writes it: `USD ($)`, `Other (¤)`."""
    words = _("Other") if currency == "Other" else currency
    return f"{words} ({CURRENCY_SIGNS[currency]})" if currency in CURRENCY_SIGNS else currency


def faults_of(given: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with texts that settings are to have, in words, by their names."""
    errors = {}
    for name, text in given.items():
        try:
            site_setting(name).check(text)
        except BadInput as error:
            errors[name] = told(error)
    return errors
