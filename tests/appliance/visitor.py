"""Who comes to a box over its network: Asterisk with a call, the owner with a browser. Prints what they found."""

from __future__ import annotations

import json
import re
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

from tests.cast import CITY_NUMBER, TRUNK, a_leg
from tests.pbx.fake_asterisk import FakeAsterisk, stamp
from tests.web.forms import forms

AGI_PORT = 4573
PATIENCE_SECONDS = 120
TALK_SECONDS = 2
LIE = "203.0.113.66"


def call(call_id: str) -> dict[str, object]:
    """Reception calls the city: asked as soon as somebody answers, talks two seconds, is settled."""
    asterisk = FakeAsterisk(AGI_PORT)
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        asked_ms = _now_ms()
        try:
            asked = asterisk.authorize(call_id, asked=stamp(asked_ms), dial=f"{TRUNK}/{CITY_NUMBER}")
            if "COOVOX_VERDICT" in asked.variables:
                break
        except OSError:
            pass
        if time.monotonic() > end:
            raise SystemExit("nobody answered Asterisk")
        time.sleep(0.005)
    answered_at = time.monotonic()
    time.sleep(TALK_SECONDS + 0.3)
    leg = a_leg(talked=TALK_SECONDS, rang=0.1, asked_ms=asked_ms)
    settled = asterisk.settle(call_id, leg)
    while not settled.variables and time.monotonic() < end:
        # A slow box has booked it too late to say so. Said again, it changes nothing.
        settled = asterisk.settle(call_id, leg)
    return {
        "answered_at": answered_at,
        "asked": asked.variables,
        "asked_seconds": asked.seconds,
        "settled": settled.variables,
    }


def _now_ms() -> int:
    return int(time.time() * 1000)


def sign_in(address: str, password: str) -> dict[str, object]:
    """The owner opens the pages and signs in; where she lands, and what the page says."""
    jar = CookieJar()
    browser = _browser(jar)
    page = _await_page(browser, address)
    form = next(form for form in forms(page) if "csrf" in "".join(form.fields) and form.method == "post")
    fields = form.fields | {"user": "owner", "password": password}
    target = urllib.parse.urljoin(address, form.action)
    answer = browser.open(target, urllib.parse.urlencode(fields).encode(), timeout=60)
    text = answer.read().decode()
    title = re.search(r"<title>(.*?)</title>", text, re.DOTALL)
    return {
        "status": answer.status,
        "address": answer.url,
        "title": title[1].strip() if title else "",
        "cookies": [{"name": one.name, "path": one.path, "is_secure": one.secure} for one in jar],
        "log": _download(browser, urllib.parse.urljoin(answer.url, "call-log.csv")),
        "too_long": _too_long(browser, target),
    }


def _browser(jar: CookieJar) -> urllib.request.OpenerDirector:
    """One that takes a certificate of a box's own making, and lies about where it is."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.HTTPCookieProcessor(jar), urllib.request.HTTPSHandler(context=context)
    )
    opener.addheaders = [("X-Forwarded-For", LIE), ("X-Forwarded-Proto", "http")]
    return opener


def _download(browser: urllib.request.OpenerDirector, address: str) -> dict[str, object]:
    """The call log as a file: how long until its first bytes, how long altogether."""
    began = time.monotonic()
    with browser.open(address, timeout=120) as answer:
        first = answer.read(1)
        first_seconds = time.monotonic() - began
        lines = (first + answer.read()).decode().count("\n")
    return {"lines": lines, "first_seconds": first_seconds, "seconds": time.monotonic() - began}


def _too_long(browser: urllib.request.OpenerDirector, address: str) -> int:
    """What is said to three megabytes."""
    try:
        return int(browser.open(address, b"x" * 3_000_000, timeout=60).status)
    except urllib.error.HTTPError as error:
        return error.code
    except urllib.error.URLError:
        return 413  # the connection was closed before all was sent


def _await_page(browser: urllib.request.OpenerDirector, address: str) -> str:
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return str(browser.open(address, timeout=60).read().decode())
        except urllib.error.URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    print(json.dumps({"call": call, "sign-in": sign_in}[sys.argv[1]](*sys.argv[2:])))
