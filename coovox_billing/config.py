"""The file settings: what must be known before the database is open (DESIGN §6).

One TOML file, the environment over it, command-line options over both. What
the site decides (currency, policies) is `core.site_settings`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from coovox_billing.core.whole_number import parse_whole
from coovox_billing.errors import BadInput, SetupError
from coovox_billing.log_output import LEVELS

CONFIG_VARIABLE = "COOVOX_CONFIG"
DEFAULT_CONFIG_FILE = Path("/etc/coovox-billing.toml")


@dataclass(frozen=True, slots=True)
class FileSetting:
    """One setting: its name in the file, its environment variable, default and reason."""

    name: str
    variable: str
    default: str
    why: str


FILE_SETTINGS = (
    FileSetting(
        "data",
        "COOVOX_DATA",
        "/var/lib/coovox-billing",
        "The directory of the database and of private files.",
    ),
    FileSetting("web_listen", "COOVOX_WEB_LISTEN", "127.0.0.1:8080", "Where the pages are served, HOST:PORT."),
    FileSetting("agi_listen", "COOVOX_AGI_LISTEN", "127.0.0.1:4573", "Where Asterisk asks about calls, HOST:PORT."),
    FileSetting(
        "agi_allow",
        "COOVOX_AGI_ALLOW",
        "",
        "Addresses beside this machine that may ask, separated by spaces; needed where agi_listen is not on loopback.",
    ),
    FileSetting(
        "ami",
        "COOVOX_AMI",
        "",
        "Asterisk's manager, user:secret@HOST:PORT. If empty, the user that `pbx install` made here, where its file "
        "can be read; `off` for none.",
    ),
    FileSetting(
        "asterisk_log",
        "COOVOX_ASTERISK_LOG",
        "/var/log/asterisk",
        "Where Asterisk keeps its records of calls (CEL, CDR), `astlogdir` in asterisk.conf.",
    ),
    FileSetting(
        "voicemail_conf",
        "COOVOX_VOICEMAIL_CONF",
        "/etc/asterisk/voicemail.conf",
        "Where Asterisk keeps the PINs of mailboxes, which self-service reads where the site says so.",
    ),
    FileSetting("web_prefix", "COOVOX_WEB_PREFIX", "", "The path that the pages have behind the PBX's web server."),
    FileSetting(
        "trusted_proxies",
        "COOVOX_TRUSTED_PROXIES",
        "",
        "Addresses of web servers whose X-Forwarded headers are believed, separated by spaces.",
    ),
    FileSetting(
        "log_level",
        "COOVOX_LOG_LEVEL",
        "calls",
        "What is logged: `quiet` faults alone, `calls` also what becomes of each call, `detail` also what Asterisk is "
        "told of it.",
    ),
    FileSetting(
        "metrics_listen",
        "COOVOX_METRICS_LISTEN",
        "",
        "Where the call plane tells Prometheus how it fares, HOST:PORT, like 127.0.0.1:9173; empty for nowhere.",
    ),
    FileSetting(
        "metrics_allow",
        "COOVOX_METRICS_ALLOW",
        "",
        "Addresses beside this machine that may read the metrics, separated by spaces; needed where metrics_listen is "
        "not on loopback.",
    ),
)


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port to listen on or connect to."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Config:
    """The file settings, parsed. `data_was_named` tells whether the data directory is other than by default."""

    data: Path
    data_was_named: bool
    web_listen: Address
    agi_listen: Address
    agi_allow: frozenset[str]
    ami: str
    asterisk_log: Path
    voicemail_conf: Path
    web_prefix: str
    trusted_proxies: frozenset[str]
    log_level: str
    metrics_listen: Address | None
    metrics_allow: frozenset[str]


def load(data_option: str | None, environment: Mapping[str, str]) -> Config:
    """The settings from file, environment and `--data`.

    Raises:
        SetupError: a file that cannot be read, an unknown name, an address that is none.
    """
    text = {setting.name: setting.default for setting in FILE_SETTINGS}
    text |= _read_file(environment.get(CONFIG_VARIABLE))
    text |= {s.name: environment[s.variable] for s in FILE_SETTINGS if environment.get(s.variable)}
    prefix = "/" + text["web_prefix"].strip("/") if text["web_prefix"].strip("/") else ""
    agi_listen, agi_allow = _guarded("agi", text)
    metrics_listen, metrics_allow = _guarded("metrics", text) if text["metrics_listen"] else (None, frozenset())
    return Config(
        data=_path("data", data_option or text["data"]),
        data_was_named=bool(data_option) or text["data"] != FILE_SETTINGS[0].default,
        web_listen=_address("web_listen", text["web_listen"]),
        agi_listen=agi_listen,
        agi_allow=agi_allow,
        ami=text["ami"],
        asterisk_log=_path("asterisk_log", text["asterisk_log"]),
        voicemail_conf=_path("voicemail_conf", text["voicemail_conf"]),
        web_prefix=prefix,
        trusted_proxies=frozenset(text["trusted_proxies"].split()),
        log_level=_log_level(text["log_level"]),
        metrics_listen=metrics_listen,
        metrics_allow=metrics_allow,
    )


def _guarded(name: str, text: Mapping[str, str]) -> tuple[Address, frozenset[str]]:
    """Where to listen, and who may come: beyond this machine nobody whom the settings do not name."""
    listen, allow = f"{name}_listen", f"{name}_allow"
    address, allowed = _address(listen, text[listen]), frozenset(text[allow].split())
    if not address.is_loopback and not allowed:
        raise SetupError(
            "%(listen)s is %(address)s, not on loopback: name who may ask in %(allow)s",
            listen=listen,
            address=address,
            allow=allow,
        )
    return address, allowed


def _log_level(word: str) -> str:
    if word not in LEVELS:
        raise SetupError("log_level is %(word)s: write quiet, calls or detail", word=repr(word[:80]))
    return word


def _path(name: str, text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise SetupError(
            "%(name)s is %(text)s: there is no such user's home, write the whole path", name=name, text=repr(text)
        ) from None


def _read_file(named: str | None) -> dict[str, str]:
    path = Path(named) if named else DEFAULT_CONFIG_FILE
    if named is None and not path.exists():
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except PermissionError:
        raise SetupError("the settings file %(path)s is not for this user: use sudo", path=path) from None
    except OSError as error:
        raise SetupError(
            "cannot read the settings file %(path)s: %(reason)s", path=path, reason=error.strerror
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SetupError("the settings file %(path)s is not TOML: %(error)s", path=path, error=error) from None
    known = {setting.name for setting in FILE_SETTINGS}
    for name, value in values.items():
        if name not in known:
            raise SetupError(
                "the settings file %(path)s holds %(name)s, which is no setting: known are %(known)s",
                path=path,
                name=repr(name),
                known=", ".join(sorted(known)),
            )
        if not isinstance(value, str):
            raise SetupError("the settings file %(path)s: %(name)s must be a text in quotes", path=path, name=name)
    return values


def _address(name: str, text: str) -> Address:
    host, _, port = text.rpartition(":")
    try:
        number = parse_whole(port, 1, 65_535)
    except BadInput:
        number = 0
    if not host or not number:
        raise SetupError("%(name)s is %(text)s: write HOST:PORT, like 127.0.0.1:8080", name=name, text=repr(text[:80]))
    return Address(host.strip("[]"), number)
