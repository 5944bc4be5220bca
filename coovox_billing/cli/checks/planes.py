"""The running product: who answers on its addresses, one call plane alone, started again after a boot."""

import os
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address, ip_network
from pathlib import Path

from coovox_billing import __version__
from coovox_billing.cli.checks.look import PATIENCE_SECONDS, Check, Look, note, user_name
from coovox_billing.config import Address
from coovox_billing.pbx.agi_identity import Answerer, ask_identity
from coovox_billing.pbx.manager import manager_address
from coovox_billing.pbx.parts import WITHOUT_AMI
from coovox_billing.services.condition import Condition
from coovox_billing.store import file_locks, reads
from coovox_billing.store.database import FILE_NAME

UNIT_FOLDERS = (Path("/etc/systemd/system"), Path("/lib/systemd/system"), Path("/usr/lib/systemd/system"))
RUNNING_SYSTEMD = Path("/run/systemd/system")
WANTED = Path("/etc/systemd/system/multi-user.target.wants")
UNITS = ("coovox-billing-calls.service", "coovox-billing-web.service")
SERVER_NAME = "CooVox Billing"
START = "Start it: `systemctl start %s`, or `coovox-billing serve`; if it runs elsewhere, name that address in %s."


def check_call_plane(look: Look) -> list[Condition]:
    """Whether this site's call plane, of this version, answers where Asterisk is to ask."""
    address = look.config.agi_listen
    found = ask_identity(_reachable(address), address.port, PATIENCE_SECONDS)
    if found is None:
        return [Condition("call plane", _why_silent(address), START % ("coovox-billing-calls", "agi_listen"))]
    if not found.is_call_plane:
        finding = f"another program answers on {address}, so no call is billed"
        advice = f"End it (`ss -ltnp 'sport = :{address.port}'` tells which), or set agi_listen and COOVOX_AGI."
        return [Condition("call plane", finding, advice)]
    return [_as_ours(look, address, found), *_manager_of(look, found)]


def _manager_of(look: Look, found: Answerer) -> Iterator[Condition]:
    """Whether the call plane itself is signed in to Asterisk's manager; that `doctor` can be says little of it."""
    name = "call plane's manager"
    if found.is_signed_in:
        yield Condition(name, "the call plane is signed in to Asterisk's manager")
    elif found.is_signed_in is False:
        advice = (
            "It tries again by itself, and its log says why it could not. If `manager` is well: systemctl restart "
            "coovox-billing-calls"
        )
        yield Condition(name, f"the call plane is not signed in to Asterisk's manager: {WITHOUT_AMI}", advice)
    elif found.version == __version__ and manager_address(look.config.ami, look.etc):
        finding = f"the call plane runs without Asterisk's manager, which is there: {WITHOUT_AMI}"
        advice = "Let its user read the manager's file, then: systemctl restart coovox-billing-calls"
        yield Condition(name, finding, advice)


def _as_ours(look: Look, address: Address, found: Answerer) -> Condition:
    if look.context.has_usable_database and found.database_id != look.context.database.read(reads.database_id):
        finding = f"on {address} the call plane of another data directory answers, not that of {look.config.data}"
        advice = "End one of the two, or name the right directory with --data, COOVOX_DATA or the setting data."
        return Condition("call plane", finding, advice)
    if found.version != __version__:
        finding = f"version {found.version} answers on {address}, installed is {__version__}"
        return Condition("call plane", finding, "Restart it: systemctl restart coovox-billing-calls")
    return Condition("call plane", f"answers on {address}")


def _why_silent(address: Address) -> str:
    try:
        with socket.create_connection((_reachable(address), address.port), PATIENCE_SECONDS):
            return (
                f"silent on {address}: it takes the connection and says nothing, so it hangs, is of an older version, "
                "or this machine's address is not in agi_allow"
            )
    except ConnectionRefusedError:
        return f"silent on {address}: nothing listens there, so no call is billed"
    except OSError as error:
        return f"silent on {address}: {error.strerror or 'no answer in time'}, a firewall perhaps"


def check_pages(look: Look) -> list[Condition]:
    """Whether our own pages are served there."""
    address = look.config.web_listen
    connection = HTTPConnection(_reachable(address), address.port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", f"{look.config.web_prefix}/healthz")
        name = connection.getresponse().getheader("Server") or ""
    except (OSError, HTTPException):
        return [Condition("pages", f"silent on {address}", START % ("coovox-billing-web", "web_listen"))]
    finally:
        connection.close()
    if name != SERVER_NAME:
        advice = f"End it (`ss -ltnp 'sport = :{address.port}'` tells which), or set web_listen."
        return [Condition("pages", f"another program answers on {address}", advice)]
    return [Condition("pages", f"answer on {address}{look.config.web_prefix}/")]


def _reachable(address: Address) -> str:
    """Where this machine reaches what listens on every address."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104  not bound here


def check_addresses(look: Look) -> list[Condition]:
    """Lists of addresses that can never match, and a web server in front whose word is not believed."""
    config = look.config
    found = [
        Condition(name, f"{word!r} in {name} is no address, so it lets nobody in", f"Write addresses like {like}.")
        for name, words, parse, like in (
            ("agi_allow", config.agi_allow, ip_address, "192.168.1.5"),
            ("metrics_allow", config.metrics_allow, ip_address, "192.168.1.5"),
            ("trusted_proxies", config.trusted_proxies, ip_network, "127.0.0.1 or 192.168.1.0/24"),
        )
        for word in sorted(words)
        if not _parses(parse, word)
    ]
    if config.web_prefix and not config.trusted_proxies:
        finding = f"the pages are below {config.web_prefix}, so a web server is in front, and trusted_proxies is empty"
        advice = (
            'Set trusted_proxies = "127.0.0.1": else one who guesses passwords slows everybody, and links are http.'
        )
        found.append(note("web server", finding, advice))
    return found


def _parses(parse: object, word: str) -> bool:
    assert callable(parse)  # noqa: S101
    try:
        parse(word)
    except ValueError:
        return False
    return True


def check_users(look: Look) -> list[Condition]:
    """Who has the database open: one call plane and no more, as the user whose it is."""
    data = look.config.data
    planes = [process for process in _planes(data) if process.plane == "calls"]
    found = []
    if len(planes) > 1:
        which = " and ".join(f"process {process.pid}" for process in planes)
        finding = f"{which} are call planes of {data}, and only one can be asked"
        found.append(
            Condition("two call planes", finding, "End all but the one that systemd or serve started: kill PID")
        )
    owner = data.stat().st_uid
    for process in planes:
        if process.user != owner:
            finding = f"process {process.pid} runs as {user_name(process.user)}, {data} is {user_name(owner)}'s"
            advice = f"Start billing as {user_name(owner)}, or run: chown -R {user_name(process.user)}: {data}"
            found.append(Condition("user", finding, advice))
    return found


class Process:
    """One that has the database open: whose it is, and the plane it is by its last word."""

    user: int

    def __init__(self, pid: int) -> None:
        folder = Path(f"/proc/{pid}")
        self.pid = pid
        self.plane = (folder / "cmdline").read_bytes().rstrip(b"\0").rpartition(b"\0")[2].decode("utf-8", "replace")
        self.user = folder.stat().st_uid


def _planes(data: Path) -> Iterator[Process]:
    for pid in file_locks.pids_using(data / FILE_NAME):
        try:
            yield Process(pid)
        except OSError:
            continue


def check_units(look: Look) -> list[Condition]:
    """Whether systemd starts billing again after a boot, where it is installed as units."""
    if not RUNNING_SYSTEMD.is_dir():
        return []
    installed = [unit for unit in UNITS if any((folder / unit).exists() for folder in UNIT_FOLDERS)]
    asleep = [unit for unit in installed if not os.path.lexists(WANTED / unit)]
    advice = f"Run: systemctl enable --now {' '.join(asleep)}"
    return [Condition("units", f"{' and '.join(asleep)} do not start at boot", advice)] if asleep else []


CHECKS: tuple[Check, ...] = (check_addresses, check_users, check_units)
OUTSIDE_CHECKS: tuple[Check, ...] = (check_call_plane, check_pages)
