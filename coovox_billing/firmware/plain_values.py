"""One way of writing for each identifier, and none for what thousands of machines share.

Manufacturers leave "To be filled by O.E.M.", zeros or the example of their data sheet where a serial number belongs.
To bind a license to such a value is to bind it to all machines of that kind, so it counts as missing.
"""

import re
from collections.abc import Callable, Mapping

LEAST_SIGNS = 4
MOST_SIGNS = 128

_PLACEHOLDERS = frozenset(
    {
        *("none", "null", "unknown", "default", "defaultstring", "invalid", "empty", "undefined", "uninitialized"),
        *("na", "notavailable", "notapplicable", "notspecified", "notpresent", "notsettable", "notprovided"),
        *("tobefilledbyoem", "tobefilledbyoemm", "oem", "oemstring", "filledbyoem", "tbd", "todo", "xxx", "test"),
        *("serial", "serialnumber", "serialnum", "systemserialnumber", "systemserial", "boardserialnumber"),
        *("baseboardserialnumber", "chassisserialnumber", "chassisserial", "mbserial", "sernum", "assettag"),
        *("productserial", "productname", "systemproductname", "systemmanufacturer", "systemversion"),
        *("notset", "noserial", "noassettag", "noassetinformation", "serialnotset", "unset", "abcdef"),
        *("0123456789abcdef", "0123456789abcdefghij", "123456789abcdef", "deadbeef", "12345678deadbeef"),
        *("evaluationboard", "virtual", "virtualmachine", "standardpc", "qemu", "qemuharddisk"),
    }
)
_PLACEHOLDER_UUIDS = frozenset(
    {
        "03000200-0400-0500-0006-000700080009",
        "00020003-0004-0005-0006-000700080009",
        "12345678-1234-5678-90ab-cddeefaabbcc",
        "12345678-1234-1234-1234-123456789abc",
        "00112233-4455-6677-8899-aabbccddeeff",
        "01234567-89ab-cdef-0123-456789abcdef",
        "fedcba98-7654-3210-fedc-ba9876543210",
    }
)
_PLACEHOLDER_MACS = frozenset(
    {
        *("00:11:22:33:44:55", "00:01:02:03:04:05", "00:12:34:56:78:90", "00:12:34:56:78:9a", "00:10:20:30:40:50"),
        # What cards of Realtek, Broadcom, Xilinx and Atmel have before anybody gave them an address.
        *("00:e0:4c:68:00:01", "00:e0:4c:36:00:01", "00:90:4c:11:22:33", "00:0a:35:00:01:22", "00:04:25:1c:a0:02"),
    }
)
_COUNTING = "01234567890123456789"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def plain_text(raw: str) -> str | None:
    """A serial number in small letters with single spaces; None for a placeholder or what is too short or too long."""
    text = " ".join(raw.lower().split())
    if not text.isascii() or not text.isprintable() or len(text) > MOST_SIGNS:
        return None
    signs = re.sub(r"[^0-9a-z]", "", text)
    if len(signs) < LEAST_SIGNS or len(set(signs)) < 3 or signs in _PLACEHOLDERS:
        return None
    if signs in _COUNTING or signs in _COUNTING[::-1] or text in _PLACEHOLDER_UUIDS:
        return None
    return text


def plain_uuid(raw: str) -> str | None:
    """A UUID in small letters with dashes; None for anything else and for one that many machines have."""
    text = raw.strip().strip("{}").lower()
    if re.fullmatch(r"[0-9a-f]{32}", text):
        text = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
    return plain_text(text) if _UUID.fullmatch(text) else None


def plain_mac(raw: str) -> str | None:
    """A card's address in small letters with colons; None where it is made up, for a group, or a chip's example.

    IEEE 802: the lowest bit of the first byte marks a group, the next one an address that somebody chose.
    """
    text = raw.strip().lower().replace("-", ":")
    if not re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", text) or int(text[:2], 16) & 0b11:
        return None
    own_part = text.replace(":", "")[6:]
    return None if text in _PLACEHOLDER_MACS or len(set(own_part)) == 1 else text


def plain_cid(raw: str) -> str | None:
    """The CID register of an eMMC or SD card; None for one whose serial number (JEDEC: bytes 10 to 13) is empty."""
    text = raw.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{32}", text) or len(set(text)) < 3:
        return None
    return None if len(set(text[20:28])) == 1 else text


PLAIN: Mapping[str, Callable[[str], str | None]] = {
    "text": plain_text,
    "uuid": plain_uuid,
    "mac": plain_mac,
    "cid": plain_cid,
}
