"""The owner's *Addons → Billing → Settings*: activation, trial, license, and all data (guide *Free Trial*)."""

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.errors import BadInput, BillingError
from coovox_billing.services import activation, licensing
from coovox_billing.store import queries
from coovox_billing.web import bodies, downloads, pieces
from coovox_billing.web.access import Role, needs
from coovox_billing.web.pages.addons import all_data
from coovox_billing.web.parts import once, parts, person
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import told

page = Blueprint("billing_settings", __name__)

SOURCE_FILE = "billing.ac"


@page.get("/addons/billing")
@needs(Role.OWNER)
def show() -> ResponseReturnValue:
    """How it stands with trial and license."""
    return _page({})


@page.post("/addons/billing")
@needs(Role.OWNER)
def switch() -> ResponseReturnValue:
    """Activate billing, or deactivate it: calls then pass unbilled."""
    author, is_wanted = person(), request.form.get("active") == "on"
    licensing_of_site = parts().licensing
    try:
        if is_wanted:
            licensing_of_site.activate(author)
            flash(_("Billing is active."))
        else:
            once(
                lambda connection: activation.switch(connection, False, author),
                _("Billing is off: all calls pass unbilled."),
            )
    except BillingError as error:
        return _page({"active": told(error)}), 422
    return redirect(url_for("billing_settings.show"), 303)


@page.get(f"/addons/billing/{SOURCE_FILE}")
@needs(Role.OWNER)
def source() -> ResponseReturnValue:
    """The file with which a license is asked for."""
    try:
        text = parts().licensing.source()
    except BillingError as error:
        return _page({"source": told(error)}), 422
    response = Response(text, content_type="text/plain; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{SOURCE_FILE}"'
    return response


@page.post("/addons/billing/license")
@needs(Role.OWNER)
@bodies.takes(bodies.FILE_BYTES)
def upload() -> ResponseReturnValue:
    """Take a license, or say why it is none."""
    author = person()
    try:
        found = parts().licensing.upload(_chosen(), author)
    except BillingError as error:
        return _page({"license": told(error)}), 422
    flash(_("License %(number)s is valid for this device. It never expires.", number=found.number))
    return redirect(url_for("billing_settings.show"), 303)


@page.get("/addons/billing/all-data.zip")
@needs(Role.OWNER)
def download_all() -> ResponseReturnValue:
    """Every list as a CSV file, in one archive; also once the trial is over."""
    response = downloads.streamed(all_data.archive(), "application/zip")
    response.headers["Content-Disposition"] = 'attachment; filename="billing-data.zip"'
    return response


def _chosen() -> bytes:
    file = request.files.get("license")
    if file is None or not file.filename:
        raise BadInput("Choose the license file first.")
    return file.stream.read(licensing.MOST_LICENSE_BYTES + 1)


def _page(errors: dict[str, str]) -> str:
    return render_template(
        "addons/settings.html",
        standing=parts().licensing.standing(),
        has_source=not parts().licensing.device.trouble,
        errors=errors,
        zone=queries.site().time_zone,
        token=pieces.submission_token(),
    )
