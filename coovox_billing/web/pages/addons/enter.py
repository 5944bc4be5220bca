"""The way in from the PBX's own menu, whose link hands over a signed-in owner."""

import logging

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from coovox_billing.errors import Refused
from coovox_billing.services import handover
from coovox_billing.services.owner import OWNER
from coovox_billing.web import sessions
from coovox_billing.web.access import Role, needs
from coovox_billing.web.parts import parts
from coovox_billing.web.words import told

page = Blueprint("enter", __name__)

log = logging.getLogger(__name__)


@page.get("/enter/<ticket>")
@needs(Role.ANYBODY)
def enter(ticket: str) -> ResponseReturnValue:
    """Sign the owner in. The page leads on by itself: a redirect out of another site's page would carry no cookie."""
    if request.method == "HEAD":  # who only looks uses nothing up
        return ""
    try:
        handover.take_ticket(parts().database, parts().directory, ticket, request.remote_addr or "", parts().now_ms())
    except Refused as error:
        return render_template("addons/enter.html", error=told(error)), 422
    log.info("the owner came from the PBX's menu, from %s", request.remote_addr)
    sessions.begin(OWNER)
    return render_template("addons/enter.html", error="")
