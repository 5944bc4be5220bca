"""The *Dashboard*: today, the trunks and what needs attention; and of it the head above what whoever signs in sees."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from coovox_billing.store import queries
from coovox_billing.web.access import READERS, needs
from coovox_billing.web.pages.dashboard.attention import matters
from coovox_billing.web.pages.dashboard.figures import figures, in_progress_href
from coovox_billing.web.pages.dashboard.last_day import last_day
from coovox_billing.web.parts import parts

page = Blueprint("dashboard", __name__)

# What the browser's script keeps while the head is closed.
HEAD_COOKIE, CLOSED = "head", "closed"


@page.get("/dashboard")
@needs(*READERS)
def show() -> ResponseReturnValue:
    """All of it."""
    return render_template("dashboard/dashboard.html", **now_values(), **_last_day())


@page.get("/dashboard/now")
@needs(*READERS)
def now() -> ResponseReturnValue:
    """What changes with every call, as a part of the page."""
    return render_template("dashboard/_now.html", **now_values())


@page.get("/dashboard/head")
@needs(*READERS)
def head() -> ResponseReturnValue:
    """The same in short, as a part of the page that stands above others."""
    return render_template("dashboard/_head_now.html", **now_values())


@page.get("/dashboard/live-channels")
@needs(*READERS)
def live_channels() -> ResponseReturnValue:
    """The last 24 hours, as a part of the page."""
    return render_template("dashboard/_last_day.html", **_last_day())


def now_values() -> dict[str, object]:
    """What the parts are made of."""
    site, now_ms = queries.site(), parts().now_ms()
    return {
        "figures": figures(now_ms, site.time_zone),
        "matters": matters(site),
        "in_progress": lambda **trunk: in_progress_href(site.time_zone, **trunk),
        "currency": site.currency,
        "zone": site.time_zone,
    }


def is_head_open() -> bool:
    """Whether this browser shows the head."""
    return request.cookies.get(HEAD_COOKIE) != CLOSED


def _last_day() -> dict[str, object]:
    site = queries.site()
    return {"last_day": last_day(parts().now_ms(), site.time_zone, site.longest_call_seconds)}
