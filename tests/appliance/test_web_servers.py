"""The snippets for nginx, Apache and lighttpd: each real server, as its package of Debian runs it, before the pages."""

from __future__ import annotations

import re

import pytest

from tests.appliance.box import DATA, Box
from tests.appliance.conftest import furnish, on_native_images
from tests.appliance.visitor import LIE

VISITOR = "10.9.8.7"
MANY_CALLS = 20_000
CALL_OFTEN = f"""
import sqlite3, time
now_ms = int(time.time() * 1000)
with sqlite3.connect("{DATA}/coovox-billing.sqlite3", timeout=60) as connection:
    connection.executemany(
        "INSERT INTO calls (call_id, state, number_dialed, number, extension, asked_at_ms, local_day)"
        " VALUES (?, 'released', '988360046', '988360046', '100', ?, '2026-11-20')",
        ((f"many-{{at}}", now_ms - at * 1000) for at in range(1, {MANY_CALLS} + 1)),
    )
"""
EXAMPLES = "/usr/share/doc/coovox-billing/examples"
CERTIFICATE = (
    "openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=box"
    " -keyout /etc/ssl/private/coovox-billing.key -out /etc/ssl/certs/coovox-billing.crt"
)
# What the head of each snippet says.
SERVERS = {
    "nginx": (
        "apt-get install -y --no-install-recommends nginx openssl",
        f"cp {EXAMPLES}/nginx.conf /etc/nginx/conf.d/coovox-billing.conf && nginx -t && systemctl reload nginx",
    ),
    "apache": (
        "apt-get install -y --no-install-recommends apache2 openssl",
        f"cp {EXAMPLES}/apache.conf /etc/apache2/sites-available/coovox-billing.conf"
        " && a2enmod ssl headers proxy_http rewrite && a2ensite coovox-billing && systemctl restart apache2",
    ),
    "lighttpd": (
        "apt-get install -y --no-install-recommends lighttpd lighttpd-mod-openssl openssl",
        f"cp {EXAMPLES}/lighttpd.conf /etc/lighttpd/conf-enabled/90-coovox-billing.conf"
        " && lighttpd -tt -f /etc/lighttpd/lighttpd.conf && systemctl restart lighttpd",
    ),
}


@on_native_images
@pytest.mark.parametrize("server", SERVERS)
def test_the_pages_work_behind(box: Box, server: str) -> None:
    _put_behind(box, server)
    furnish(box)
    box.do("python3", "-c", CALL_OFTEN, user="coovox-billing")
    password = box.path(f"{DATA}/first-password").read_text().strip()
    seen = box.visit("sign-in", f"https://{VISITOR}/billing/", password)
    assert seen["status"] == 200
    assert "Sign in" not in seen["title"]
    assert seen["address"].startswith(f"https://{VISITOR}/billing/"), "redirects stay under the prefix"
    assert seen["cookies"]
    assert all(cookie["is_secure"] and cookie["path"].startswith("/billing") for cookie in seen["cookies"])
    assert seen["too_long"] == 413
    assert seen["log"]["lines"] > MANY_CALLS
    assert seen["log"]["first_seconds"] < seen["log"]["seconds"] / 2, "a download comes while it is made"
    assert _whence_signed_in(box) == {VISITOR}, f"and not from {LIE} or the server's own address"


def _put_behind(box: Box, server: str) -> None:
    installing, configuring = SERVERS[server]
    box.do("ip", "address", "add", f"{VISITOR}/32", "dev", "lo")
    box.do(*installing.split())
    box.do("mkdir", "-p", "/etc/ssl/private")
    box.do(*CERTIFICATE.split())
    settings = box.path("/etc/coovox-billing.toml")
    settings.write_text(settings.read_text() + 'web_prefix = "/billing"\ntrusted_proxies = "127.0.0.1 ::1"\n')
    box.do("systemctl", "restart", "coovox-billing-web")
    box.do("sh", "-c", configuring)


def _whence_signed_in(box: Box) -> set[str]:
    return set(re.findall(r"the password of owner was given from (\S+)", box.log_of("web")))
