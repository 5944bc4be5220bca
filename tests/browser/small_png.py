"""A picture of the screen in fewer bytes: a palette of its 256 most frequent colors, any other becomes the nearest."""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

_HEAD = b"\x89PNG\r\n\x1a\n"
_COLORS = 256
_CHANNELS = {2: 3, 6: 4}

Pixel = tuple[int, int, int]


def small(png: bytes) -> bytes:
    """The same picture; what comes in has 8 bits a channel, with or without an alpha that says nothing."""
    chunks = list(_chunks(png))
    width, height, _depth, kind = struct.unpack(">IIBB", chunks[0][1][:10])
    data = zlib.decompress(b"".join(body for name, body in chunks if name == b"IDAT"))
    channels = _CHANNELS[kind]
    rows = [
        list(zip(row[0::channels], row[1::channels], row[2::channels], strict=True))
        for row in _unfiltered(data, width * channels, channels)
    ]
    index = _indexes(Counter(pixel for row in rows for pixel in row))
    palette = b"".join(map(bytes, dict.fromkeys(color for color, _ in index.values())))
    lines = b"".join(b"\0" + bytes(index[pixel][1] for pixel in row) for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    made = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return _HEAD + b"".join(_chunk(name, body) for name, body in made)


def size(png: bytes) -> tuple[int, int]:
    """Width and height of a picture, in pixels."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def _indexes(counted: "Counter[Pixel]") -> dict[Pixel, tuple[Pixel, int]]:
    """Of each color the one of the palette, and its place in it; those of the palette come first, in its order."""
    palette = [color for color, _ in counted.most_common(_COLORS)]
    found = {color: (color, place) for place, color in enumerate(palette)}
    for color in counted.keys() - found.keys():
        found[color] = found[min(palette, key=lambda known, color=color: _distance(known, color))]  # type: ignore[misc]
    return found


def _distance(one: Pixel, other: Pixel) -> int:
    return sum((mine - yours) ** 2 for mine, yours in zip(one, other, strict=True))


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_HEAD)
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _unfiltered(data: bytes, length: int, step: int) -> Iterator[bytearray]:
    """The rows as they were before PNG's filters (PNG specification, 9.2)."""
    above = bytearray(length)
    for at in range(0, len(data), length + 1):
        kind, row = data[at], bytearray(data[at + 1 : at + 1 + length])
        for place in range(length) if kind else ():
            left = row[place - step] if place >= step else 0
            corner = above[place - step] if place >= step else 0
            row[place] = (row[place] + _guess(kind, left, above[place], corner)) & 0xFF
        yield row
        above = row


def _guess(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:
        near = left + up - corner
        return min((left, up, corner), key=lambda value: abs(near - value))
    return (0, left, up, (left + up) // 2)[kind]
