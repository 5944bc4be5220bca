"""What stands before the application: its path prefix, and what a trusted proxy tells of the client.

X-Forwarded-For and X-Forwarded-Proto count only where the connection itself
comes from a trusted address. X-Forwarded-Host never counts: no page builds an
address out of a host name.
"""

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

from coovox_billing.errors import SetupError

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*", re.ASCII)

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Front:
    """WSGI middleware. A proxy may pass the prefix on or strip it: both are understood."""

    def __init__(self, app: Wsgi, prefix: str, trusted_proxies: Collection[str]) -> None:
        self._app = app
        self._prefix = tidy_prefix(prefix)
        self._trusted = [_network(text) for text in trusted_proxies]

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self._is_trusted(environ.get("REMOTE_ADDR", "")):
            self._believe(environ)
        if self._prefix:
            self._place(environ)
        return self._app(environ, start_response)

    def _believe(self, environ: Environ) -> None:
        forwarded = [part.strip() for part in environ.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        client = next((address for address in reversed(forwarded) if not self._is_trusted(address)), "")
        if (address := _parsed(client)) is not None:
            environ["REMOTE_ADDR"] = str(address)
        scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip().lower()
        if scheme in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme

    def _place(self, environ: Environ) -> None:
        path = environ.get("PATH_INFO", "")
        environ["SCRIPT_NAME"] = self._prefix
        if path == self._prefix or path.startswith(self._prefix + "/"):
            path = path[len(self._prefix) :]
        environ["PATH_INFO"] = path or "/"

    def _is_trusted(self, address: str) -> bool:
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._trusted)


def tidy_prefix(prefix: str) -> str:
    """`/billing` of `billing/`; empty for none.

    Raises:
        SetupError: it cannot be a path.
    """
    tidied = "/" + prefix.strip("/") if prefix.strip("/") else ""
    if not _PREFIX.fullmatch(tidied):
        raise SetupError(
            "web_prefix is %(prefix)s: write a path of letters and digits, like /billing", prefix=repr(prefix)
        )
    return tidied


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise SetupError("trusted_proxies holds %(text)s: write an address, like 127.0.0.1", text=repr(text)) from None


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
