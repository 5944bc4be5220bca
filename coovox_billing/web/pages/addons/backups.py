"""The owner's *Addons → Billing → Backups*: what is scheduled, where to, what became of it, and those that are kept."""

import sqlite3
from collections.abc import Mapping

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from coovox_billing.backup import places
from coovox_billing.core import backup_plan
from coovox_billing.errors import BadInput, BillingError
from coovox_billing.services import backups
from coovox_billing.services import site as site_service
from coovox_billing.store import queries
from coovox_billing.web import bodies, downloads
from coovox_billing.web.access import Role, needs
from coovox_billing.web.pages.settings import words as setting_words
from coovox_billing.web.parts import once, parts, person
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import later, told

page = Blueprint("backups", __name__)

SETTINGS = ("backup_at", "backup_days", "backup_to", "backup_keep", "backup_host_key", "backup_s3_region")
DAYS = (later("Mon"), later("Tue"), later("Wed"), later("Thu"), later("Fri"), later("Sat"), later("Sun"))
PERIODS = ("days", "weeks", "months")
SECRETS = (
    ("passphrase", later("Passphrase of new backups")),
    ("sftp-key", later("SFTP: private key")),
    ("sftp-password", later("SFTP: password")),
    ("s3-key-id", later("S3: key id")),
    ("s3-secret", later("S3: secret")),
)


@page.get("/addons/billing/backups")
@needs(Role.OWNER)
def show() -> ResponseReturnValue:
    """How it stands."""
    return _page(_stored_settings(), {})


@page.post("/addons/billing/backups")
@needs(Role.OWNER)
def change() -> ResponseReturnValue:
    """Store what is scheduled, all of it or nothing."""
    given, stored, author = _given_settings(), _stored_settings(), person()
    errors = setting_words.faults_of(given)
    if errors:
        return _page(given, errors), 422

    def store(connection: sqlite3.Connection) -> None:
        for name in SETTINGS:
            if given[name] != stored[name]:
                site_service.change_setting(connection, name, given[name], author)

    try:
        once(store, _("What is scheduled is stored."))
    except BillingError as error:
        return _page(given, {"": told(error)}), 422
    if given["backup_to"] != stored["backup_to"]:
        _try_out(given["backup_to"])
    return redirect(url_for("backups.show"), 303)


def _try_out(place: str) -> None:
    """Tell what keeps backups from their new place. It is stored all the same: a stick may be plugged in later."""
    address = backup_plan.parse_address(place)
    if address is not None and address.kind not in places.FOLDERS:
        flash(_("The server was not asked yet: store its key below, then try it with Back up now."))
        return
    try:
        places.try_out(address, parts().directory)
    except BillingError as error:
        flash(_("Backups cannot go there as it is now: %(why)s", why=told(error)), "bad")


@page.post("/addons/billing/backups/secrets")
@needs(Role.OWNER)
@bodies.takes(bodies.FILE_BYTES)
def change_secrets() -> ResponseReturnValue:
    """Store secrets that were written, forget those that were ticked; none is ever shown."""
    errors: dict[str, str] = {}
    changes = _given_secrets(errors)
    directory, author = parts().directory, person()
    if not errors and changes:
        try:
            once(lambda c: backups.keep_secrets(c, directory, changes, author), _("The secrets are stored."))
        except BillingError as error:
            errors["passphrase"] = told(error)
    if errors:
        return _page(_stored_settings(), errors), 422
    if not changes:
        flash(_("Nothing was changed."))
    return redirect(url_for("backups.show"), 303)


@page.post("/addons/billing/backups/now")
@needs(Role.OWNER)
def start() -> ResponseReturnValue:
    """Make one now."""
    author = person()
    begun = _("A backup is being made: load this page again to see what became of it.")
    if once(lambda connection: backups.record_start(connection, author), begun):
        parts().runner.start()
    return redirect(url_for("backups.show"), 303)


@page.get("/addons/billing/backups/<backup>")
@needs(Role.OWNER)
def download(backup: str) -> ResponseReturnValue:
    """One that is kept."""
    if backup not in {one.name for one in backups.state(parts().directory).stored}:
        raise NotFound
    response: Response = downloads.streamed(parts().runner.fetched(backup), "application/octet-stream")
    response.headers["Content-Disposition"] = f'attachment; filename="{backup}"'
    return response


def _given_secrets(errors: dict[str, str]) -> dict[str, str]:
    """What was written, and nothing for what is to be forgotten; an empty field changes nothing."""
    given: dict[str, str] = {}
    for name, _words in SECRETS:
        text = request.form.get(name, "")
        text = text.replace("\r\n", "\n") if name == "sftp-key" else text.strip("\r\n")
        if request.form.get(f"remove.{name}") == "on":
            given[name] = ""
        elif text:
            given[name] = text
            try:
                backups.check_secret(name, text)
            except BadInput as error:
                errors[name] = told(error)
    if given.get("passphrase") and given["passphrase"] != request.form.get("passphrase-again", ""):
        errors["passphrase"] = _("The two passphrases differ: write the same one twice.")
    return given


def _given_settings() -> dict[str, str]:
    given = {name: request.form.get(name, "").strip() for name in SETTINGS}
    given["backup_at"] = given["backup_at"] if request.form.get("scheduled") == "on" else backup_plan.OFF
    given["backup_days"] = "".join(day for day in backup_plan.EVERY_DAY if day in request.form.getlist("day"))
    given["backup_keep"] = " ".join(request.form.get(f"keep.{period}", "").strip() or "0" for period in PERIODS)
    return given


def _stored_settings() -> dict[str, str]:
    stored = queries.settings()
    return {name: stored[name] for name in SETTINGS}


def _page(values: Mapping[str, str], errors: Mapping[str, str]) -> str:
    database, directory = parts().database, parts().directory
    known = backups.secrets(directory)
    keep = [*values["backup_keep"].split(), "", "", ""]
    return render_template(
        "addons/backups.html",
        values=values,
        errors=errors,
        days=[(str(number), _(words)) for number, words in enumerate(DAYS, start=1)],
        keep=list(zip(PERIODS, (_("Daily"), _("Weekly"), _("Monthly")), keep, strict=False)),
        secrets=[(name, _(words), name in known) for name, words in SECRETS],
        is_encrypted="passphrase" in known,
        is_running=parts().runner.is_running(),
        state=backups.state(directory),
        is_old=not database.read(lambda c: backups.check(c, directory, parts().now_ms())).is_good,
        zone=queries.site().time_zone,
    )
