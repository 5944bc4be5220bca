"""`/healthz`: whether both planes work, for a monitor. Open to everyone, and tells nothing else."""

import logging

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from coovox_billing.store import queries
from coovox_billing.web.parts import parts

page = Blueprint("health", __name__)
log = logging.getLogger(__name__)


@page.get("/healthz")
def show() -> ResponseReturnValue:
    """200 where everything answers, else 503."""
    checks = {"call_plane": parts().call_plane_is_up(), "database": _database_answers()}
    return jsonify(checks), 200 if all(checks.values()) else 503


def _database_answers() -> bool:
    try:
        queries.site()
    except Exception:
        log.exception("the database does not answer")
        return False
    return True
