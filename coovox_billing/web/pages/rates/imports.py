"""Importing rates: choose a file, see what it would do, have it done as a whole or not at all."""

import secrets
import threading
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.core.csv_table import BadRow
from coovox_billing.core.rate_csv import parse_rates, render_rates
from coovox_billing.core.tariff import Rate
from coovox_billing.errors import BadInput, BillingError, Refused
from coovox_billing.services import rates
from coovox_billing.web import bodies, pieces
from coovox_billing.web.access import Role, needs
from coovox_billing.web.pages.rates import steps
from coovox_billing.web.pages.rates.files import MOST_BYTES, MOST_RATES, read_rates
from coovox_billing.web.parts import once, parts, person
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import ngettext, told

page = Blueprint("files", __name__)

MOST_WAITING = 4
MOST_BAD_SHOWN = 200

_NAME = "coovox_rate_files"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file that was read and waits for its confirmation: its name, and its rates as packed CSV."""

    name: str
    packed: bytes
    remove_others: bool

    @property
    def rates(self) -> list[Rate]:
        """Its rates, as they were read."""
        return parse_rates(zlib.decompress(self.packed).decode())[0]


@dataclass(slots=True)
class WaitingRoom:
    """The newest few files that wait, in memory: a restart ends every session, and them."""

    _files: "OrderedDict[str, Waiting]" = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, waiting: Waiting) -> str:
        """Keep a file; returns its key. The oldest goes where there are too many."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            self._files[key] = waiting
            while len(self._files) > MOST_WAITING:
                self._files.popitem(last=False)
        return key

    def get(self, key: str) -> Waiting | None:
        """The file of a key, None where it is gone."""
        with self._lock:
            return self._files.get(key)


@page.get("/rate/import")
@needs(Role.MANAGER)
def ask() -> ResponseReturnValue:
    """Choose a file."""
    return _choose()


@page.post("/rate/import")
@needs(Role.MANAGER)
@bodies.takes(bodies.LARGEST_BYTES)
def upload() -> ResponseReturnValue:
    """Read a file; nothing is changed."""
    file = request.files.get("file")
    if file is None or not file.filename:
        return _choose(_("Choose a file first.")), 422
    name = "".join(sign for sign in file.filename.replace("\\", "/").rpartition("/")[2] if sign.isprintable())[:80]
    try:
        found, bad = read_rates(file.stream.read(MOST_BYTES + 1))
    except BadInput as error:
        return _choose(told(error), name), 422
    if bad:
        nothing = ngettext(
            "Nothing was imported: %(num)s row is wrong. Correct the file and choose it again.",
            "Nothing was imported: %(num)s rows are wrong. Correct the file and choose it again.",
            len(bad),
        )
        return _choose(nothing, name, bad), 422
    remove_others = "remove_others" in request.form
    if remove_others:
        try:
            parts().database.read(rates.check_replaceable)
        except Refused as error:
            return _choose(told(error), name), 422
    packed = zlib.compress(render_rates(found).encode())
    key = _room().put(Waiting(name, packed, remove_others))
    return redirect(url_for("rates.files.preview", key=key), 303)


@page.get("/rate/import/<key>")
@needs(Role.MANAGER)
def preview(key: str) -> ResponseReturnValue:
    """What the file would do."""
    waiting = _room().get(key)
    return _gone() if waiting is None else _preview(key, waiting)


@page.post("/rate/import/<key>")
@needs(Role.MANAGER)
def confirm(key: str) -> ResponseReturnValue:
    """Do what was shown, or nothing."""
    waiting, author, seen = _room().get(key), person(), request.form.get("seen", "")
    if waiting is None:
        return _gone()
    found = waiting.rates
    done = ngettext("%(num)s rate of the file is imported.", "%(num)s rates of the file are imported.", len(found))
    try:
        once(lambda c: rates.import_rates(c, found, waiting.remove_others, author, seen), done)
    except Refused as error:
        return _preview(key, waiting, told(error)), 422
    except BillingError as error:
        return _choose(told(error), waiting.name), 422
    return redirect(url_for("rates.show"), 303)


def _room() -> WaitingRoom:
    room: WaitingRoom = current_app.extensions.setdefault(_NAME, WaitingRoom())
    return room


def _gone() -> ResponseReturnValue:
    flash(_("This file waits no longer: choose it again."), "bad")
    return redirect(url_for("rates.files.ask"), 303)


def _choose(error: str = "", name: str = "", bad: Sequence[BadRow] = ()) -> str:
    return render_template(
        "rates/imports.html",
        error=error,
        name=name,
        bad=bad[:MOST_BAD_SHOWN],
        bad_count=len(bad),
        remove_others="remove_others" in request.form,
        most_megabytes=MOST_BYTES // 1024 // 1024,
        most_rates=MOST_RATES,
    )


def _preview(key: str, waiting: Waiting, error: str = "") -> str:
    found = waiting.rates
    if waiting.remove_others:
        parts().database.read(rates.check_replaceable)
    plan = parts().database.read(lambda c: rates.plan_import(c, found, waiting.remove_others))
    return render_template(
        "rates/preview.html",
        key=key,
        waiting=waiting,
        **steps.shown(plan),
        error=error,
        token=request.form.get("submission") or pieces.submission_token(),
    )
