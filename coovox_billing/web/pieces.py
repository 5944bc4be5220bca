"""A form as a page of its own or inside a dialog over the list that it was opened from: one template, one route."""

import secrets

from flask import Response, redirect, render_template, request
from flask.typing import ResponseReturnValue

IN_PAGE, IN_DIALOG = "form_page.html", "dialog.html"


def is_piece() -> bool:
    """Whether htmx asks, which wants a part of a page."""
    return request.headers.get("HX-Request") == "true"


def render_form(template: str, **values: object) -> str:
    """A template that extends `layout`: a whole page, or what stands in the dialog."""
    return render_template(template, layout=IN_DIALOG if is_piece() else IN_PAGE, **values)


def onward(address: str) -> ResponseReturnValue:
    """After a form was taken: lead the browser on, out of the dialog too."""
    if is_piece():
        return Response(status=204, headers={"HX-Redirect": address})
    return redirect(address, 303)


def submission_token() -> str:
    """Names one filling in of a form, so that sent twice it does what it does once."""
    return secrets.token_urlsafe(16)
