"""The machine: its time, memory and packages, and who may read what."""

import ctypes
import os
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from stat import S_IMODE

from coovox_billing.cli.checks.look import Check, Look, note, user_name
from coovox_billing.config import CONFIG_VARIABLE, DEFAULT_CONFIG_FILE
from coovox_billing.pbx.parts import AMI_FILE
from coovox_billing.services import condition
from coovox_billing.services.condition import Condition
from coovox_billing.services.owner import FIRST_PASSWORD_FILE
from coovox_billing.store import reads
from coovox_billing.store.database import FILE_NAME

PACKAGES = ("babel", "cryptography", "flask", "openpyxl", "peewee", "pyotp", "segno", "serial", "tzlocal", "waitress")
OLDEST_PYTHON = (3, 11)
LEAST_MEMORY_KB = 20_000
LARGEST_WAL_BYTES = 64_000_000
ZONE_FILE, ZONE_LINK = Path("/etc/timezone"), Path("/etc/localtime")
_TIME_ERROR = 5  # adjtimex(2): nobody keeps the clock
_TIMEX_BYTES = 512
_OTHERS = 0o077


def check_files(look: Look) -> list[Condition]:
    """Whether the directory's user may write the database."""
    return [condition.check_files(look.config.data)]


def check_disk_speed(look: Look) -> list[Condition]:
    """How long a write takes."""
    return [condition.check_disk_speed(look.config.data)]


def check_wal(look: Look) -> list[Condition]:
    """A write-ahead log that is never taken over grows until the disk is full."""
    wal = look.config.data / f"{FILE_NAME}-wal"
    size = wal.stat().st_size if wal.exists() else 0
    if size <= LARGEST_WAL_BYTES:
        return []
    finding = f"{wal} has {size // 1_000_000} MB: a program reads the database and does not come to an end"
    return [Condition("database log", finding, "Restart billing; end other programs that have the database open.")]


def check_private_files(look: Look) -> list[Condition]:
    """Nobody but billing's user has any business in the data directory, nor with the secret in the settings file."""
    data = look.config.data
    found = []
    if S_IMODE(data.stat().st_mode) & _OTHERS:
        finding = f"{data} is open to other users, with balances, numbers and secrets in it"
        found.append(Condition("data directory", finding, f"Run: chmod 700 {quote(str(data))}"))
    password = data / FIRST_PASSWORD_FILE
    if password.exists() and password.stat().st_mode & _OTHERS:
        advice = f"Run: chmod 600 {quote(str(password))}"
        found.append(Condition("first password", f"{password} can be read by others", advice))
    settings = Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG_FILE)
    if settings.exists():
        found += _settings_file(look, settings)
    return found


def _settings_file(look: Look, settings: Path) -> list[Condition]:
    owner = look.config.data.stat()
    if ":" in look.config.ami and settings.stat().st_mode & 0o007:
        finding = f"everybody can read the manager's secret in {settings}"
        advice = f"Run: chgrp {owner.st_gid} {quote(str(settings))}; chmod 640 {quote(str(settings))}"
        return [Condition("settings file", finding, advice)]
    if not may_read(settings, owner.st_uid):
        finding = f"{user_name(owner.st_uid)}, who runs billing, cannot read {settings}"
        return [Condition("settings file", finding, f"Run: chgrp {owner.st_gid} {settings}; chmod g+r {settings}")]
    return []


def check_manager_file(look: Look) -> list[Condition]:
    """Whether who runs billing can read the secret that `pbx install` made."""
    file, owner = look.etc / AMI_FILE, look.config.data.stat().st_uid
    if look.config.ami or not os.path.lexists(file):
        return []
    with suppress(PermissionError):
        if may_read(file, owner):
            return []
    name = user_name(owner)
    advice = f"Run: usermod -aG asterisk {name}; then start billing again, so that it counts."
    return [Condition("manager file", f"{name}, who runs billing, cannot read the manager's secret in {file}", advice)]


def may_read(path: Path, uid: int) -> bool:
    """Whether a user may read a file, by its owner and group alone.

    Raises:
        PermissionError: we may not even look.
    """
    found = path.stat()
    if uid in (0, found.st_uid):
        return uid == 0 or bool(found.st_mode & 0o400)
    return bool(found.st_mode & (0o040 if found.st_gid in _groups(uid) else 0o004))


def _groups(uid: int) -> list[int]:
    import pwd

    if uid == os.geteuid():
        return [os.getegid(), *os.getgroups()]
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return []
    return os.getgrouplist(user.pw_name, user.pw_gid)


def check_time(look: Look) -> list[Condition]:
    """Who keeps the clock, and whether machine and site are in the same zone."""
    found = []
    if not is_clock_kept():
        finding = "nobody keeps the clock (NTP): it is as right as whoever set it, and drifts"
        found.append(
            note("time", finding, "Run: timedatectl set-ntp true; a box without internet: set it now and then.")
        )
    if look.context.has_usable_database:
        ours, machines = str(look.context.database.read(reads.site).time_zone), machine_zone()
        if machines and machines != ours:
            finding = f"the site is in {ours}, the machine in {machines}: days and rates go by {ours}"
            advice = f"If that is wrong, run: coovox-billing setting set time_zone {machines}"
            found.append(note("time zone", finding, advice))
    return found


def is_clock_kept() -> bool:
    """Whether something keeps the clock right, as the kernel knows; True where it does not tell."""
    try:
        return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))) != _TIME_ERROR
    except (OSError, AttributeError):
        return True


def machine_zone() -> str:
    """The machine's time zone by name, empty where it has none."""
    with suppress(OSError):
        _, found, name = str(ZONE_LINK.readlink()).partition("zoneinfo/")
        if found:
            return name
    with suppress(OSError):
        return ZONE_FILE.read_text(encoding="utf-8").strip()
    return ""


def check_memory(look: Look) -> list[Condition]:
    """Memory that is left for a program."""
    left = available_kb()
    if left is None or left >= LEAST_MEMORY_KB:
        return []
    finding = f"{left // 1000} MB of memory are left, and a program that needs more is killed"
    return [Condition("memory", finding, "End what needs most of it (`top -o RES`), or give the machine more.")]


def available_kb() -> int | None:
    """Memory that programs can still have, in kB; None where the kernel does not tell."""
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1])
    return None


def check_packages(look: Look) -> list[Condition]:
    """What the pages and commands import."""
    if sys.version_info < OLDEST_PYTHON:
        finding = f"Python {sys.version_info.major}.{sys.version_info.minor} is too old"
        return [Condition("packages", finding, "Install Python 3.11 or newer (Debian 12).")]
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        finding = f"Python does not find {', '.join(missing)}"
        return [Condition("packages", finding, "Install the package again, with what it depends on.")]
    return []


CHECKS: tuple[Check, ...] = (
    check_files,
    check_disk_speed,
    check_wal,
    check_private_files,
    check_manager_file,
    check_time,
    check_memory,
    check_packages,
)
