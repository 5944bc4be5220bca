"""Decides what a test's Asterisk finds in its folder: settings made from the templates in etc/."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from string import Template

from tests.asterisk.sip import ADDRESSES, FarEnd

TEMPLATES = Path(__file__).parent / "etc"
PIECES = "pjsip_*.conf"
# Without these files Asterisk complains at every start; it needs nothing from them.
EMPTY = ("acl.conf", "ccss.conf", "cdr_manager.conf", "pjproject.conf", "stasis.conf", "udptl.conf")
FOLDERS = ("etc", "lib", "share/sounds", "agi-bin", "spool/outgoing", "spool/tmp", "run", "sipp")
LOGS = ("log/cdr-csv", "log/cdr-custom")
PHONES = tuple(str(number) for number in range(100, 110))


def make_folders(folder: Path, root: Path) -> None:
    """The tree Asterisk expects; documentation and sounds are the fetched ones."""
    for name in (*FOLDERS, *LOGS):
        (folder / name).mkdir(parents=True)
    shared = root / "usr/share/asterisk"
    (folder / "share/documentation").symlink_to(shared / "documentation")
    (folder / "share/sounds/en").symlink_to(shared / "sounds/en_US_f_Allison")


def modules_folder(root: Path) -> Path:
    """Where this release of Debian keeps Asterisk's modules."""
    return next((root / "usr/lib").rglob("chan_pjsip.so")).parent


def endpoints(phones: FarEnd, trunks: list[FarEnd]) -> dict[str, object]:
    """The two gaps of pjsip.conf."""
    return {"phones": _phones(phones), "trunks": _trunks(trunks)}


def write(folder: Path, root: Path, values: Mapping[str, object]) -> None:
    """All the settings but the dialplan."""
    modules = modules_folder(root)
    for template in sorted(TEMPLATES.glob("*.conf")):
        if not template.match(PIECES):
            text = _fill(template.name, dir=folder, modules=modules, **values)
            (folder / "etc" / template.name).write_text(text)
    for name in EMPTY:
        (folder / "etc" / name).touch()
    _drop_absent_modules(folder / "etc/modules.conf", modules)


def write_dialplan(folder: Path, dialplan: str, files: Mapping[str, Path]) -> None:
    """The test's own dialplan and files; a file may take the place of a template of ours."""
    (folder / "etc/extensions.conf").write_text(dialplan)
    for name, path in files.items():
        shutil.copy(path, folder / "etc" / name)


def _fill(template: str, /, **values: object) -> str:
    return Template((TEMPLATES / template).read_text()).substitute(values)


def _phones(far_end: FarEnd) -> str:
    place = {"phones_address": far_end.address, "phones_port": far_end.port}
    entries = [_fill("pjsip_phone.conf", number=number, access=_access(number), **place) for number in PHONES]
    return "".join(entries)


def _access(number: str) -> str:
    """How a telephone proves who it is: by its password, or by its address alone."""
    if number in ADDRESSES:
        return _fill("pjsip_address.conf", number=number, address=ADDRESSES[number])
    return _fill("pjsip_password.conf", number=number)


def _trunks(trunks: list[FarEnd]) -> str:
    return "".join(
        _fill("pjsip_trunk.conf", name=trunk.name, address=trunk.address, port=trunk.port) for trunk in trunks
    )


def _drop_absent_modules(path: Path, modules: Path) -> None:
    lines = path.read_text().splitlines()
    kept = [line for line in lines if not line.startswith("load") or (modules / line.split()[-1]).exists()]
    path.write_text("\n".join(kept) + "\n")
