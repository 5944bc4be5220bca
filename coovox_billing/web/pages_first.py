"""Files wait for pages: somebody waits for a page, and of all Python threads one runs at a time.

Else a page takes twice as long beside a file, for each time it asks SQLite the other thread has the processor for 5 ms.
"""

from threading import Condition

# A file goes on, piece by piece, however many pages are asked for.
LONGEST_SECONDS = 0.05


class PagesFirst:
    """How many pages are being made: it is entered for each."""

    def __init__(self) -> None:
        self._pages = 0
        self._changed = Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._pages += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._pages -= 1
            self._changed.notify_all()

    def let_pass(self) -> None:
        """Wait until no page is being made, but not for ever."""
        with self._changed:
            self._changed.wait_for(lambda: not self._pages, LONGEST_SECONDS)


pages_first = PagesFirst()
