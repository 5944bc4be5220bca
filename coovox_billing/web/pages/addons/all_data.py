"""Every list of the site as a CSV file, in one archive that is made while it goes out."""

import zipfile
from collections.abc import Iterable, Iterator

from coovox_billing.store.lists.rates import RateQuery
from coovox_billing.web import downloads
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.pages import call_log, changes, recharge_history, statistics
from coovox_billing.web.pages.extensions import listing_page as extensions
from coovox_billing.web.pages.rates import export
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
