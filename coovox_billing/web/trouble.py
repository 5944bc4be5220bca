"""The one error handler: every error is a page that says what is wrong and what to do."""

import logging

from flask import Response, make_response, render_template
from werkzeug.exceptions import HTTPException, InternalServerError

from coovox_billing.errors import BillingError, NotFound
from coovox_billing.services.condition import advice_on
from coovox_billing.web import reader
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import later, told

log = logging.getLogger(__name__)

TITLES = {
    400: later("That did not work"),
    403: later("Not allowed"),
    404: later("There is no such page"),
    405: later("Not possible here"),
    413: later("Too much at once"),
    429: later("Please wait"),
    500: later("Something broke"),
    503: later("Not possible now"),
}
ADVICE = {
    400: later("The request could not be understood. Open the page again and repeat."),
    403: later("This page is not yours to open."),
    404: later("The address is wrong, or the page has moved."),
    405: later("This address does not take that kind of request."),
    413: later("The form was larger than any form of ours. Open the page again and repeat."),
    429: later("Too many tries. Wait a moment, then try again."),
    500: later("Calls go on being billed. Try again; if it stays, look into the log of the web service."),
    503: later("This is not possible now. Try again in a minute."),
}

REPEAT = later("What was sent with this page is not stored: repeat it then. What was stored before is safe.")


def handle(error: Exception) -> Response:
    """The page of an error."""
    if isinstance(error, HTTPException) and error.response is not None:
        return make_response(error.response)
    if isinstance(error, BillingError):
        return _page(404 if isinstance(error, NotFound) else 400, told(error))
    if not isinstance(error, HTTPException):
        log.error("a page failed", exc_info=error)
        reader.do_without_site()
        if advice := advice_on(error):
            return _page(503, f"{told(advice)} {_(REPEAT)}")
        return handle(InternalServerError())
    own_words = error.description if error.description != type(error).description else None
    response = _page(error.code or 500, own_words or "")
    for name, value in error.get_headers():
        if name != "Content-Type":
            response.headers[name] = value
    return response


def _page(code: int, message: str) -> Response:
    title = _(TITLES.get(code, TITLES[400]))
    text = message or _(ADVICE.get(code, ADVICE[400]))
    return make_response(render_template("error.html", code=code, title=title, message=text), code)
