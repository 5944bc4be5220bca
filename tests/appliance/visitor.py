"""Who comes to a box over its network: Asterisk with a call, a browser with a password. Prints what it found as JSON."""

from __future__ import annotations

import json
import re
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


def call(call_id: str) -> dict[str, object]:
    """Reception calls the city: asked as soon as somebody answers, talks two seconds, is settled."""
    asterisk = FakeAsterisk(AGI_PORT)
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        asked_ms = _now_ms()
        try:
            asked = asterisk.authorize(call_id, asked=stamp(asked_ms), dial=f"{TRUNK}/{CITY_NUMBER}")
            if asked.variables:
                break
        except OSError:
            pass
        if time.monotonic() > end:
            raise SystemExit("nobody answered Asterisk")
        time.sleep(0.005)
    answered_at = time.monotonic()
    time.sleep(TALK_SECONDS + 0.3)
    leg = a_leg(talked=TALK_SECONDS, rang=0.1, asked_ms=asked_ms)
    settled = asterisk.settle(call_id, leg) if asked.variables.get("COOVOX_VERDICT") == "pass" else None
    return {
        "answered_at": answered_at,
        "asked": asked.variables,
        "asked_seconds": asked.seconds,
        "settled": settled.variables if settled else {},
    }


def _now_ms() -> int:
    return int(time.time() * 1000)


def sign_in(address: str, password: str) -> dict[str, object]:
    """The owner opens the pages and signs in; where she lands, and what the page says."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    page = _await_page(browser, address)
    form = next(form for form in forms(page) if "csrf" in "".join(form.fields) and form.method == "post")
    fields = form.fields | {"user": "owner", "password": password}
    target = urllib.parse.urljoin(address, form.action)
    answer = browser.open(target, urllib.parse.urlencode(fields).encode(), timeout=60)
    text = answer.read().decode()
    title = re.search(r"<title>(.*?)</title>", text, re.DOTALL)
    return {"status": answer.status, "address": answer.url, "title": title[1].strip() if title else "", "text": text}


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
