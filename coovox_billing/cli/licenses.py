"""`license status|source|upload`: the trial, and what makes billing permanent."""

import json
from pathlib import Path
from typing import Any

from coovox_billing.cli.context import Context, listable
from coovox_billing.core.clock import local_moment
from coovox_billing.errors import BadInput
from coovox_billing.services.licensing import MOST_LICENSE_BYTES, Licensing
from coovox_billing.store import reads
from coovox_billing.this_device import open_licensing


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    parser = commands.add_parser("license", help="the trial, and the license of this device")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    status = verbs.add_parser("status", help="first activation, expiration, license, and what is wrong with them")
    listable(status)
    status.set_defaults(run=_status)
    source = verbs.add_parser("source", help="write billing.ac, from which the distributor makes a license")
    source.add_argument("file", metavar="FILE")
    source.set_defaults(run=_source)
    upload = verbs.add_parser("upload", help="use the license that the distributor sent")
    upload.add_argument("file", metavar="FILE")
    upload.set_defaults(run=_upload)


def _licensing(context: Context) -> Licensing:
    return open_licensing(context.database, context.config.data)


def _status(context: Context) -> None:
    standing = _licensing(context).standing()
    zone = context.database.read(reads.site).time_zone
    is_dated = standing.trial is not None and standing.trial.is_dated
    first, over = (
        local_moment(moment, zone).isoformat(timespec="seconds") if standing.trial and is_dated else None
        for moment in ((standing.trial.first_ms, standing.trial.over_ms) if standing.trial else (0, 0))
    )
    facts = {
        "active": standing.is_active,
        "first_activation": first,
        "expiration": "never" if standing.license else over,
        "license": standing.license.number if standing.license else None,
        "is_over": standing.is_barred,
        "faults": list(standing.faults),
    }
    if context.arguments.json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    print(f"Time of first activation  {first or '-'}")
    print(f"Time of expiration        {'Never expires' if standing.license else over or '-'}")
    print(f"License Uploaded          {'Yes' if standing.license else 'No'}")
    for fault in standing.faults:
        print(f"FAULT  {fault}")


def _source(context: Context) -> None:
    text, path = _licensing(context).source(), Path(context.arguments.file)
    try:
        path.write_text(text, encoding="ascii")
    except OSError as error:
        raise BadInput("%(file)s cannot be written: %(reason)s", file=path, reason=error.strerror) from None
    print(f"{path} is written: send it to your distributor")


def _upload(context: Context) -> None:
    path = Path(context.arguments.file)
    try:
        with path.open("rb") as file:
            data = file.read(MOST_LICENSE_BYTES + 1)
    except OSError as error:
        raise BadInput("%(file)s cannot be read: %(reason)s", file=path, reason=error.strerror) from None
    found = _licensing(context).upload(data, context.person())
    print(f"license {found.number} is valid for this device; it never expires")
