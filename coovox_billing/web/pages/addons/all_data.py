"""Every list of the site as a CSV file, in one archive that is made while it goes out."""

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence

from coovox_billing.core.money import format_amount
from coovox_billing.services import trunks
from coovox_billing.store import queries
from coovox_billing.store.lists import extensions as extensions_list
from coovox_billing.store.lists import people
from coovox_billing.store.lists.rates import RateQuery
from coovox_billing.web import downloads
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.cells import safe_text
from coovox_billing.web.formats import moments_in_files
from coovox_billing.web.pages import call_log, changes, recharge_history, statistics
from coovox_billing.web.pages.extensions import listing_page as extensions
from coovox_billing.web.pages.rates import export
from coovox_billing.web.parts import parts
from coovox_billing.web.sink import Sink

_SOME_BYTES = 64 * 1024


def archive() -> Iterator[bytes]:
    """The archive, piece by piece."""
    sink = Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for name, texts in _files():
            with packed.open(f"{name}.csv", "w", force_zip64=True) as file:
                for text in texts:
                    file.write(text.encode())
                    if sink.size >= _SOME_BYTES:
                        yield sink.taken()
    yield sink.taken()


def _files() -> Iterator[tuple[str, Iterable[str]]]:
    """The name and the lines of each; nothing is asked of the database before its turn."""
    for found in (extensions.found, recharge_history.found, call_log.found, statistics.found, changes.found):
        download = found(Arguments({}))
        yield download.name, downloads.lines(download)
    yield "rates", export.lines(RateQuery())
    for name, columns, rows in _tables():
        yield name, _table(columns, rows)


def _tables() -> Iterator[tuple[str, Sequence[str], Iterable[Sequence[object]]]]:
    """What no list of a page has: name, columns, rows. Passwords and second factors are in none."""
    moment, now_ms = moments_in_files(queries.site().time_zone), parts().now_ms()
    yield "settings", ("name", "value"), sorted(queries.settings().items())
    yield (
        "closed-extensions",
        ("number", "name", "closed", "balance"),
        [
            (one.number, one.name, moment(one.closed_at_ms), format_amount(one.balance_micros))
            for one in extensions_list.closed()
        ],
    )
    users = [(user.name, user.role, user.remark, "yes" if user.enabled else "no") for user in people.users()]
    yield "billing-users", ("name", "role", "remark", "enabled"), users
    known = parts().database.read(lambda connection: trunks.overview(connection, now_ms))
    yield "trunks", ("device", "name", "free_seconds"), [(one.device, one.name, one.free_seconds) for one in known]


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(map(safe_text, row) for row in rows)
    yield "\ufeff" + text.getvalue()
