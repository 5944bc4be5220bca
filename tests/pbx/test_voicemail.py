"""The PINs of mailboxes, as Asterisk's voicemail.conf has them."""

from pathlib import Path

import pytest

from coovox_billing.errors import SetupError
from coovox_billing.pbx.voicemail import Mailbox, mailboxes, pin_of, pins


def conf(etc: Path, text: str, name: str = "voicemail.conf") -> Path:
    (etc / name).write_text(text)
    return etc / name


DEBIAN = """\
; a comment
[general]
format = wav49|gsm|wav
100 => 9999,Nobody
[zonemessages]
eastern = America/New_York|'vm-received' Q 'digits/at' IMp
;-- 100 => 8888,Long ago
--;
[default]
100 => 4829,Reception,reception@office.example,,attach=no|saycid=no
101 = 7351
102 =>
103 => ,No password
104 =>-2468,May not change it
105 => 1234 , Spaces
106 => *123,Invalid
107\\;x => 5555
"""


@pytest.mark.parametrize(
    ("extension", "pin"),
    [
        ("100", "4829"),
        ("101", "7351"),
        ("102", ""),
        ("103", ""),
        ("104", "2468"),
        ("105", "1234"),
        ("106", "*123"),
        ("107", ""),
        ("999", ""),
        ("eastern", ""),
        ("format", ""),
    ],
)
def test_it_reads_the_pin_of_a_mailbox(tmp_path: Path, extension: str, pin: str) -> None:
    assert pin_of(conf(tmp_path, DEBIAN), extension) == pin


def test_it_reads_all_of_them_as_one_by_one(tmp_path: Path) -> None:
    path = conf(tmp_path, DEBIAN)
    all_pins = pins(path)
    assert set(all_pins) == {"100", "101", "102", "103", "104", "105", "106"}
    assert all_pins == {number: pin_of(path, number) for number in all_pins}


@pytest.mark.parametrize(
    ("text", "pin"),
    [
        ("[default]\n100 => 1357\n[sales]\n100 => 2468\n", "1357"),
        ("[sales]\n100 => 2468\n[default]\n101 => 1357\n", "2468"),
        ("[sales]\n100 => 2468\n[support]\n100 => 2468\n", ""),
        ("[default]\n100 => 1357\n100 => 2468\n", ""),
        ("[default]\n100 => 1357\n100 => 1357\n", "1357"),
        ("[default](!)\n100 => 1357\n", ""),
        ("[office](!)\n100 => 2468\n[default](office)\n100 => 1357\n", "1357"),
        ("100 => 1357\n", ""),
        ("[default]\r\n100 => 1357,Name\r\n", "1357"),
        ("[default]\n100 => 1357,M\xfcller\n", "1357"),
    ],
)
def test_it_knows_whose_mailbox_it_is(tmp_path: Path, text: str, pin: str) -> None:
    (tmp_path / "voicemail.conf").write_bytes(text.encode("latin-1"))
    assert pin_of(tmp_path / "voicemail.conf", "100") == pin


def test_it_follows_includes_as_asterisk_does(tmp_path: Path) -> None:
    conf(tmp_path, "100 => 1357\n[sales]\n", "vm_default.inc")
    lines = '[default]\n#include "vm_default.inc"\n#tryinclude nowhere.inc\n#exec /bin/echo [sales]\n101 => 2468\n'
    path = conf(tmp_path, lines)
    assert pins(path) == {"100": "1357", "101": "2468"}


def test_it_ends_where_files_include_each_other(tmp_path: Path) -> None:
    conf(tmp_path, "#include voicemail.conf\n100 => 1357\n", "other.inc")
    assert pins(conf(tmp_path, "[default]\n#include other.inc\n")) == {"100": "1357"}


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Where asterisk.conf says that messages are."""
    conf(tmp_path, f"[directories]\nastspooldir => {tmp_path}/spool\n", "asterisk.conf")
    for number, text in {
        "100": "; changed by telephone\n[general]\npassword=7351\n",
        "101": "[other]\npassword=7351\n",
        "102": "",
        "103": "[general]\npassword => -7351\n",
    }.items():
        folder = tmp_path / "spool/voicemail/default" / number
        folder.mkdir(parents=True)
        (folder / "secret.conf").write_text(text)
    return tmp_path / "spool"


@pytest.mark.usefixtures("spool")
@pytest.mark.parametrize(
    ("general", "options", "expected"),
    [
        ("passwordlocation=spooldir", "", ["7351", "1357", "1357", "7351", "1357"]),
        ("passwordlocation = SpoolDir", "", ["7351", "1357", "1357", "7351", "1357"]),
        ("passwordlocation=voicemail.conf", "", ["1357"] * 5),
        ("", "", ["1357"] * 5),
        ("", ",Name,,,attach=no|passwordlocation=spooldir", ["7351", "1357", "1357", "7351", "1357"]),
        ("", ",passwordlocation=spooldir", ["1357"] * 5),
    ],
)
def test_it_reads_what_was_changed_by_telephone(
    tmp_path: Path, general: str, options: str, expected: list[str]
) -> None:
    boxes = "".join(f"{number} => 1357{options}\n" for number in range(100, 105))
    path = conf(tmp_path, f"[general]\n{general}\n[default]\n{boxes}")
    assert [pin_of(path, str(number)) for number in range(100, 105)] == expected


def test_it_never_falls_back_to_an_old_pin(spool: Path, tmp_path: Path) -> None:
    """One that is there and cannot be read is not the one in voicemail.conf: that was changed since."""
    secret = spool / "voicemail/default/100/secret.conf"
    path = conf(tmp_path, "[general]\npasswordlocation=spooldir\n[default]\n100 => 1357\n")
    secret.unlink()
    assert pin_of(path, "100") == "1357"
    secret.symlink_to("secret.conf")  # a loop: it cannot be opened
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "is_file", _not_ours)
        assert pin_of(path, "100") == ""


def _not_ours(path: Path) -> bool:
    if path.name == "secret.conf":
        raise PermissionError
    return path.exists()


def test_it_leaves_the_spool_directory_never(spool: Path, tmp_path: Path) -> None:
    outside = spool.parent / "secret.conf"
    outside.write_text("[general]\npassword=7351\n")
    path = conf(tmp_path, "[general]\npasswordlocation=spooldir\n[..]\n.. => 1357\n[../..]\n100 => 1357\n")
    assert list(mailboxes(path)) == [Mailbox("..", "..", ""), Mailbox("../..", "100", "")]


def test_it_says_that_the_file_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="voicemail_conf"):
        pin_of(tmp_path / "voicemail.conf", "100")


def test_it_says_that_the_file_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path) -> bytes:
        raise PermissionError

    path = conf(tmp_path, DEBIAN)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(SetupError, match="cannot be read by this user"):
        pin_of(path, "100")


def test_it_changes_nothing(tmp_path: Path) -> None:
    path = conf(tmp_path, DEBIAN)
    before = (path.read_bytes(), path.stat().st_mtime_ns, sorted(tmp_path.iterdir()))
    pins(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns, sorted(tmp_path.iterdir())) == before
