"""The table of site settings: what they are, their default and why they exist (DESIGN §6).

They live in the database and are edited with `setting set` or by page. The
file settings (listeners, data directory) are `config`'s.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from coovox_billing.core import backup_plan
from coovox_billing.core.money import format_amount, parse_amount
from coovox_billing.core.stretch import Terms
from coovox_billing.core.whole_number import parse_whole
from coovox_billing.errors import BadInput, NotFound
from coovox_billing.sentences import either

ACTIVATION = "activation"
DEFAULT_EMERGENCY_NUMBERS = "112 911 0112 0911 9112 9911"
DEFAULT_DATE_FORMAT = "YYYY-MM-DD"
AUTO = "auto"
ENGLISH = "en"
LANGUAGES = (ENGLISH, "zh", "es", "fr", "ar")
BY_LANGUAGE = "language"
TWENTY_FOUR_HOURS, TWELVE_HOURS = "24", "12"
TIME_FORMATS = (TWENTY_FOUR_HOURS, TWELVE_HOURS, BY_LANGUAGE)
DATE_FORMATS = (DEFAULT_DATE_FORMAT, "DD.MM.YYYY", "DD/MM/YYYY", "DD-MM-YYYY", "MM/DD/YYYY", "YYYY/MM/DD")

SELF_SERVICE, SELF_SERVICE_ADDRESS = "self_service", "self_service_address"
SELF_SERVICE_OFF, BY_OWN_PIN, BY_VOICEMAIL_PIN = "off", "pin", "voicemail"

_ADDRESS = re.compile(r"https?://[!-~]+")
_MOST_ADDRESS_CHARACTERS = 120
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")


@dataclass(frozen=True, slots=True)
class SiteSetting:
    """One setting: its stored and shown form is text, `check` returns it tidied or raises BadInput."""

    name: str
    default: str
    why: str
    check: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Site:
    """The settings of a site, parsed."""

    currency: str
    time_zone: ZoneInfo
    language: str
    date_format: str
    time_format: str
    plus_prefix: str
    emergency_numbers: frozenset[str]
    when_no_rate: str
    when_billing_is_down: str
    calls_without_payer: str
    locking_ends_calls: bool
    longest_call_seconds: int
    grace_seconds: int
    warning_seconds: int
    low_balance_micros: int
    is_active: bool
    self_service: str

    @property
    def terms(self) -> Terms:
        """What promises to calls depend on."""
        return Terms(self.longest_call_seconds, self.grace_seconds)


def _one_of(*choices: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in choices:
            raise BadInput("%(text)s is not possible: choose %(choices)s", text=repr(text), choices=either(choices))
        return text

    return check


def _seconds(least: int, most: int) -> Callable[[str], str]:
    return lambda text: str(parse_whole(text, least, most))


def _amount_or_none(text: str) -> str:
    micros = parse_amount(text)
    if micros < 0:
        raise BadInput("%(text)s is not possible: write an amount like 5.00, or 0 for none", text=repr(text))
    return format_amount(micros)


def _zone(text: str) -> str:
    try:
        return ZoneInfo(text).key
    except (KeyError, ValueError, OSError):
        raise BadInput("%(text)s is not a time zone: write a name like Europe/Madrid or UTC", text=repr(text)) from None


def _dial_digits(text: str) -> str:
    if not text.isascii() or not text.isdigit() or len(text) > 8:
        raise BadInput("%(text)s is not a dial prefix: write up to 8 digits, like 00", text=repr(text))
    return text


def _numbers(text: str) -> str:
    numbers = text.replace(",", " ").split()
    wrong = next((n for n in numbers if not n.isascii() or not n.isdigit() or len(n) > 16), None)
    if wrong is not None:
        raise BadInput("%(wrong)s is not an emergency number: write digits, separated by spaces", wrong=repr(wrong))
    if not numbers:
        raise BadInput("the list of emergency numbers cannot be empty: write at least one, like 112")
    return " ".join(dict.fromkeys(numbers))


def _payer_policy(text: str) -> str:
    if text in ("pass", "refuse") or (text.isascii() and text.isalnum() and any(map(str.isdigit, text))):
        return text
    raise BadInput(
        "%(text)s is not possible: write pass, refuse, or the number of the extension that pays", text=repr(text)
    )


def _backup_address(text: str) -> str:
    backup_plan.parse_address(text)
    return text


def _backups_kept(text: str) -> str:
    keep = backup_plan.parse_keep(text)
    return f"{keep.days} {keep.weeks} {keep.months}"


def _fingerprint(text: str) -> str:
    if text and not _FINGERPRINT.fullmatch(text):
        raise BadInput(
            "%(text)s is no fingerprint: write SHA256: and 43 characters, as `ssh-keygen -lf` shows it",
            text=repr(text[:80]),
        )
    return text


def _web_address(text: str) -> str:
    if text and (not _ADDRESS.fullmatch(text) or len(text) > _MOST_ADDRESS_CHARACTERS):
        raise BadInput(
            "%(text)s is no address of a page: write it like https://pbx.example/self, up to %(most)s characters",
            text=repr(text[:40]),
            most=_MOST_ADDRESS_CHARACTERS,
        )
    return text


def _region(text: str) -> str:
    if not _REGION.fullmatch(text):
        raise BadInput("%(text)s is no region: write a name like eu-central-1", text=repr(text[:40]))
    return text


SITE_SETTINGS = (
    SiteSetting(
        "currency",
        "USD",
        "What amounts are in: USD, CNY, EUR, GBP, or Other.",
        _one_of("USD", "CNY", "EUR", "GBP", "Other"),
    ),
    SiteSetting(
        "time_zone",
        "",
        "Days, rate windows and shown times are in this zone; set to the machine's own when the database is made.",
        _zone,
    ),
    SiteSetting(
        "language",
        AUTO,
        "What pages are in for whoever has chosen no language in the browser: auto is what the browser asks for, "
        f"else English; or one of {', '.join(LANGUAGES)}.",
        _one_of(AUTO, *LANGUAGES),
    ),
    SiteSetting(
        "date_format",
        DEFAULT_DATE_FORMAT,
        f"How pages and their downloads write a day: {', '.join(DATE_FORMATS)}; language is as the reader's does.",
        _one_of(*DATE_FORMATS, BY_LANGUAGE),
    ),
    SiteSetting(
        "time_format",
        TWENTY_FOUR_HOURS,
        "How pages write the time of day: in 24 hours, in 12 hours, or language, as the reader's does.",
        _one_of(*TIME_FORMATS),
    ),
    SiteSetting("plus_prefix", "00", "What a + at the beginning of a dialed number stands for.", _dial_digits),
    SiteSetting(
        "emergency_numbers",
        DEFAULT_EMERGENCY_NUMBERS,
        "Exact dialed numbers that always pass, free and unlimited; with and without the dial rule's prefix.",
        _numbers,
    ),
    SiteSetting(
        "when_no_rate",
        "refuse",
        "What happens to a billed call that no rate matches; allow lets it pass unbilled, an invitation to dial "
        "what nobody priced.",
        _one_of("refuse", "allow"),
    ),
    SiteSetting(
        "when_billing_is_down",
        "refuse",
        "What Asterisk does with a billed extension's call while billing does not answer; allow is without limit.",
        _one_of("refuse", "allow"),
    ),
    SiteSetting(
        "calls_without_payer",
        "pass",
        "What happens to an outbound call that no extension caused: pass unbilled, refuse, or the extension that pays.",
        _payer_policy,
    ),
    SiteSetting(
        "longest_call_seconds",
        "14400",
        "No billed call is promised more talk than this, whatever the balance.",
        _seconds(1, 86_400),
    ),
    SiteSetting(
        "grace_seconds",
        "120",
        "For so long beyond the time it has bought a call goes on while billing is being restarted; needs AMI.",
        _seconds(0, 3_600),
    ),
    SiteSetting(
        "warning_seconds",
        "30",
        "So long before a call's money is out its caller hears a warning; 0 for none. Needs AMI.",
        _seconds(0, 300),
    ),
    SiteSetting(
        "locking_ends_calls",
        "no",
        "Whether locking an extension also ends its calls in progress. Needs AMI.",
        _one_of("no", "yes"),
    ),
    SiteSetting(
        "low_balance",
        "5.0000",
        "The dashboard names the billed extensions that have less than this available; 0.0000 for none.",
        _amount_or_none,
    ),
    SiteSetting(
        "backup_at",
        backup_plan.OFF,
        "At which time of the day a backup is made: off, or like 02:30.",
        backup_plan.parse_at,
    ),
    SiteSetting(
        "backup_days",
        backup_plan.EVERY_DAY,
        "On which days of the week a backup is made: digits, 1 is Monday.",
        backup_plan.parse_days,
    ),
    SiteSetting(
        "backup_to",
        "",
        "Where backups go: empty for the data directory, /FOLDER, usb:/FOLDER (only while a stick is mounted there), "
        "sftp://USER@HOST/FOLDER, s3://HOST/BUCKET/PREFIX.",
        _backup_address,
    ),
    SiteSetting(
        "backup_keep",
        backup_plan.DEFAULT_KEEP,
        "How many daily, weekly and monthly backups are kept there.",
        _backups_kept,
    ),
    SiteSetting(
        "backup_host_key",
        "",
        "The fingerprint of the SFTP server's key, SHA256:…; nothing is sent to a server that shows another.",
        _fingerprint,
    ),
    SiteSetting("backup_s3_region", "us-east-1", "The region of the S3 storage, where it has regions.", _region),
    SiteSetting(
        SELF_SERVICE,
        SELF_SERVICE_OFF,
        "Whether the person behind an extension sees its balance, calls and statement: off, with a PIN of its own "
        "(pin), or with the one of its mailbox (voicemail).",
        _one_of(SELF_SERVICE_OFF, BY_OWN_PIN, BY_VOICEMAIL_PIN),
    ),
    SiteSetting(
        SELF_SERVICE_ADDRESS,
        "",
        "The address of self-service as slips with a PIN tell it, like https://pbx.example/self.",
        _web_address,
    ),
)

_BY_NAME = {setting.name: setting for setting in SITE_SETTINGS}


def site_setting(name: str) -> SiteSetting:
    """The setting of that name.

    Raises:
        NotFound: there is none.
    """
    if name not in _BY_NAME:
        raise NotFound("there is no setting %(name)s", hint="`setting list` shows them all", name=repr(name))
    return _BY_NAME[name]


def parse_site(values: dict[str, str]) -> Site:
    """The parsed settings; one that is not in `values` has its default. Billing is active unless ACTIVATION is off."""
    text = {setting.name: values.get(setting.name, setting.default) for setting in SITE_SETTINGS}
    return Site(
        currency=text["currency"],
        time_zone=ZoneInfo(text["time_zone"] or "UTC"),
        language=text["language"],
        date_format=text["date_format"],
        time_format=text["time_format"],
        plus_prefix=text["plus_prefix"],
        emergency_numbers=frozenset(text["emergency_numbers"].split()),
        when_no_rate=text["when_no_rate"],
        when_billing_is_down=text["when_billing_is_down"],
        calls_without_payer=text["calls_without_payer"],
        locking_ends_calls=text["locking_ends_calls"] == "yes",
        longest_call_seconds=int(text["longest_call_seconds"]),
        grace_seconds=int(text["grace_seconds"]),
        warning_seconds=int(text["warning_seconds"]),
        low_balance_micros=parse_amount(text["low_balance"]),
        is_active=values.get(ACTIVATION) != "off",
        self_service=text[SELF_SERVICE],
    )
