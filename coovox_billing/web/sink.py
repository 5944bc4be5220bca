"""Where an archive is written that goes out while it is made."""


class Sink:
    """What the archive was made of so far, until it is taken: it cannot be sought in, as no connection can."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def write(self, data: bytes, /) -> int:
        """Take in the next bytes."""
        self._parts.append(bytes(data))
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """There is nothing behind it."""

    def close(self) -> None:
        """What was not taken yet stays."""

    def taken(self) -> bytes:
        """All that came since the last time."""
        data = b"".join(self._parts)
        self._parts.clear()
        self.size = 0
        return data
