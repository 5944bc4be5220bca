"""The guide's *Call Log* page, read-only: outbound calls, the newest first."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from coovox_billing.store import queries
from coovox_billing.web import formats

page = Blueprint("call_log", __name__)

CALLS_PER_PAGE = 50
MAX_PAGE_DIGITS = 9


@page.get("/call-log")
def show() -> ResponseReturnValue:
    """One page of calls; those in progress are among them."""
    site = queries.site()
    total = queries.count_calls()
    last = max(1, -(-total // CALLS_PER_PAGE))
    number = page_number(request.args.get("page", ""), last)
    return render_template(
        "call_log.html",
        calls=list(queries.calls(CALLS_PER_PAGE, (number - 1) * CALLS_PER_PAGE)),
        total=total,
        number=number,
        last=last,
        zone=site.time_zone,
        sign=formats.currency_sign(site.currency),
    )


def page_number(text: str, last: int) -> int:
    """The page that was asked for, at most the last one; the first for whatever is no number."""
    if not text.isascii() or not text.isdigit() or len(text) > MAX_PAGE_DIGITS:
        return 1
    return min(max(1, int(text)), last)
