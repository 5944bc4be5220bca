"""`make demo`: a small office whose telephones are in use, to look at in the browser.

The calls go through a real Asterisk where one can be had (then SIPp plays
telephones and trunk), else through a fake one over the real FastAGI socket.
Everything is made anew in `run/demo` and thrown away at the next start.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, redirect_stdout
from pathlib import Path

from coovox_license.main import main as issue_licenses

from coovox_billing.config import Address
from coovox_billing.core.leg import Leg
from coovox_billing.core.money import parse_amount
from coovox_billing.core.rate_csv import parse_rates
from coovox_billing.opening import open_site
from coovox_billing.services import accounts, activation, owner, payments, rates
from coovox_billing.services.accounts import Person
from coovox_billing.web_plane import is_listening
from tests.asterisk import fetch
from tests.asterisk.pbx import Pbx
from tests.asterisk.ports import free_port
from tests.asterisk.sip import phone
from tests.asterisk.waiting import wait_until
from tests.pbx.fake_asterisk import FakeAsterisk, stamp

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "run/demo"
KEYS = ROOT / "run/demo-keys"
PASSWORD = "demo-password"
SHIPPED = "extensions_coovox_billing.conf"

OFFICE = (
    ("100", "Reception", "prepaid", "25", "0"),
    ("101", "Sales", "postpaid", "0", "50"),
    ("102", "Lobby phone", "prepaid", "0.60", "0"),
    ("103", "Workshop", "prepaid", "8", "0"),
    ("104", "Room 12", "prepaid", "3.50", "0"),
    ("105", "Room 14", "prepaid", "0", "0"),
)
RATES = """\
active,remark,prefix,number_length,initial_cost,initial_time,rate,billing_unit,start_time,end_time,days,extensions
1,City,9,9,0.05,5,0.02,5,00:00:00,23:59:59,,all
1,Mobile,96,9,0.10,5,0.05,5,00:00:00,23:59:59,,all
1,Abroad,900,0,0.30,5,0.25,5,00:00:00,23:59:59,,all
"""
NUMBERS = ("988360000", "965302300", "988124500", "961177100", "900491715500", "988360001", "965302302")
DIALPLAN = """
[globals]
COOVOX_AGI=agi://127.0.0.1:{agi_port}
[from-internal]
exten => _9X.,1,Gosub(coovox-billing-dial,s,1(${{EXTEN}},PJSIP/${{EXTEN:1}}@trunk,5,,Carrier))
 same => n,Hangup()
#include {shipped}
"""

Dial = Callable[[str, str, int], None]


def furnish() -> None:
    """A new site with the office's people and rates."""
    shutil.rmtree(DATA, ignore_errors=True)
    person = Person("demo", "terminal", time.time_ns() // 1_000_000)
    with open_site(DATA) as database:
        database.write(lambda c: activation.switch(c, True, person))
        for extension, name, payment_type, balance, credit in OFFICE:
            changes = {"billing": True, "payment_type": payment_type, "credit_micros": parse_amount(credit)}
            database.write(lambda c, e=extension, n=name: accounts.add(c, e, n, person))
            database.write(lambda c, e=extension, ch=changes: accounts.change(c, e, ch, person))
            if parse_amount(balance):
                database.write(lambda c, e=extension, b=balance: payments.recharge(c, e, parse_amount(b), person))
        database.write(lambda c: accounts.change(c, "105", {"status": "locked"}, person))
        database.write(lambda c: rates.import_rates(c, parse_rates(RATES)[0], False, person))
        owner.set_password(database, PASSWORD, person)


def make_keys() -> None:
    """Throw-away keys of a vendor and a distributor, so that the demo's license can be issued and uploaded."""
    shutil.rmtree(KEYS, ignore_errors=True)
    KEYS.mkdir(parents=True)
    secret = KEYS / "passphrase"
    secret.write_text("throw away after the demo\n")
    distributor = KEYS / "distributor"
    for arguments in (
        ["keygen", "--root", "--keys", KEYS / "root"],
        ["keygen", "--name", "Demo distributor", "--keys", distributor],
        ["certify", distributor / "distributor.pub", "--until", "2099-12-31", "--keys", KEYS / "root"],
    ):
        with redirect_stdout(io.StringIO()):
            assert issue_licenses([*map(str, arguments), "--passphrase-file", str(secret)]) == 0


def serve(web_port: int, agi_port: int, ami: str) -> subprocess.Popen[bytes]:
    """The product, as `make run` starts it."""
    environment = os.environ | {
        "COOVOX_WEB_LISTEN": f"127.0.0.1:{web_port}",
        "COOVOX_AGI_LISTEN": f"127.0.0.1:{agi_port}",
        "COOVOX_AMI": ami,
        "COOVOX_VENDOR_KEY": str(KEYS / "root/root.pub"),
    }
    command = [sys.executable, "-m", "coovox_billing", "--data", str(DATA), "serve"]
    log = (ROOT / "run/demo.log").open("wb")
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)


def real_exchange(agi_port: int, until: ExitStack) -> tuple[Dial, str] | None:
    """Telephones of a real Asterisk, and its manager; None where SIPp is not there or Asterisk cannot be fetched."""
    if shutil.which("sipp") is None:
        return None
    try:
        fetch.launcher(22)
    except fetch.FetchError:
        return None
    dialplan = DIALPLAN.format(agi_port=agi_port, shipped=SHIPPED)
    pbx = until.enter_context(Pbx(22, dialplan, {SHIPPED: ROOT / "asterisk" / SHIPPED}))

    def dial(extension: str, number: str, seconds: int) -> None:
        phone(pbx, number, extension, hang_up_after_ms=seconds * 1000).wait(60)

    return dial, f"test:test@{pbx.address}:{pbx.ami_port}"


def fake_exchange(agi_port: int) -> Dial:
    """Telephones of nobody, over the real FastAGI socket."""
    asterisk = FakeAsterisk(agi_port)

    def dial(extension: str, number: str, seconds: int) -> None:
        call_id = str(random.randrange(10**17, 10**18))
        asked_ms = time.time_ns() // 1_000_000
        answer = asterisk.authorize(call_id, extension, number, asked=stamp(asked_ms), trunk="Carrier").variables
        if answer.get("COOVOX_VERDICT") != "pass":
            return
        limit = int(answer["COOVOX_LIMIT"]) or seconds
        answered_ms = asked_ms + 700
        time.sleep(0.7 + min(seconds, limit))
        ended_ms = time.time_ns() // 1_000_000
        device = f"PJSIP/{extension}"
        leg = Leg(device, number, "Carrier", asked_ms, "", answered_ms, ended_ms, "16", "1.1", "1.1")
        asterisk.settle(call_id, leg)

    return dial


def keep_calling(extension: str, dial: Dial, over: threading.Event) -> None:
    """One person: calls somebody, talks a while, calls again."""
    draw = random.Random(extension)
    while not over.wait(draw.uniform(0.5, 6)):
        try:
            dial(extension, draw.choice(NUMBERS), draw.randint(3, 18))
        except (AssertionError, OSError):
            over.wait(2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--web-port", type=int, default=8080)
    parser.add_argument("--seconds", type=int, default=0, help="stop by itself; 0 for never")
    parser.add_argument("--fake", action="store_true", help="no real Asterisk, even if there is one")
    options = parser.parse_args()
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    furnish()
    make_keys()
    agi_port = free_port()
    with ExitStack() as until:
        real = None if options.fake else real_exchange(agi_port, until)
        dial, ami = real or (fake_exchange(agi_port), "off")
        product = serve(options.web_port, agi_port, ami)
        try:
            wait_until(lambda: is_listening(Address("127.0.0.1", options.web_port)), 30, "the pages")
            print(f"Calls go through {'a real Asterisk 22' if real else 'a fake Asterisk'}. Look at")
            print(f"  http://127.0.0.1:{options.web_port}/extensions?refresh=3    (owner, {PASSWORD})")
            print("A license for it, from the file that the page Billing lets download:")
            print("  PYTHONPATH=.:license .venv/bin/python -m coovox_license issue billing.ac --to Demo \\")
            print("    --keys run/demo-keys/distributor --passphrase-file run/demo-keys/passphrase")
            print("Ctrl-C ends it.", flush=True)
            for extension, *_ in OFFICE:
                threading.Thread(target=keep_calling, args=(extension, dial, over), daemon=True).start()
            over.wait(options.seconds or None)
        finally:
            product.terminate()
            product.wait(10)


if __name__ == "__main__":
    main()
