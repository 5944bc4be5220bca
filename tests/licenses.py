"""Devices of tests, and the licenses that a distributor of tests makes for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from coovox_billing.core import license as licenses
from coovox_billing.core.license import Certificate, License, Source
from coovox_billing.core.trial import Identifier
from coovox_billing.services.licensing import Device
from tests.cast import NOW_MS
from tests.license.cast import ACME_KEY as DISTRIBUTOR
from tests.license.cast import ROOT, public

YEAR_MS = 365 * 86_400_000
ROOT_KEY = public(ROOT)


class Drawer:
    """A persistent store that holds what it is given, until it is `broken`."""

    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}
        self.is_broken = False

    def read(self, name: str) -> bytes | None:
        """A record."""
        if self.is_broken:
            raise OSError("broken")
        return self.records.get(name)

    def write(self, name: str, data: bytes) -> None:
        """Keep a record."""
        if self.is_broken:
            raise OSError("broken")
        self.records[name] = data


def a_device(number: int = 1, keep: Drawer | None = None) -> Device:
    """One of several boxes, each with a drawer of its own."""
    values = {
        "mac": f"68692e{number:06x}",
        "emmc-cid": f"15010038474e{number:020x}",
        "board-serial": f"U50-77{number:04}",
    }
    identifiers = tuple(Identifier(kind, value) for kind, value in values.items())
    return Device("CooVox U50", identifiers, keep or Drawer())


def a_certificate(**changes: Any) -> Certificate:
    """The vendor's word for the distributor."""
    certificate = Certificate("Ann Distribution", 7, public(DISTRIBUTOR), NOW_MS - YEAR_MS, NOW_MS + YEAR_MS)
    certificate = replace(certificate, **changes)
    return licenses.parse_certificate(licenses.render_certificate(certificate, ROOT.sign))


def a_license(source: Source | str, **changes: Any) -> bytes:
    """What the distributor sends back for a `billing.ac`."""
    if isinstance(source, str):
        source = licenses.parse_source(source)
    issued = License("AD-0001", source.board, "Hotel Sol", NOW_MS, None, source.identifiers, a_certificate())
    return licenses.render_license(replace(issued, **changes), DISTRIBUTOR.sign).encode()
