"""It puts billing into an Asterisk, takes it out again, and says what is missing."""

import os
import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from coovox_billing.errors import BadInput, SetupError
from coovox_billing.pbx import console
from coovox_billing.pbx import install as installer
from coovox_billing.pbx.check import Known, check
from coovox_billing.pbx.console import find_asterisk_cli, reload
from coovox_billing.pbx.dialplan_check import active_lines
from coovox_billing.pbx.install import install, remove, write_files
from coovox_billing.pbx.parts import Item, log_directory_of
from coovox_billing.pbx.running_check import CEL_MODULES, REQUIRED_MODULES, is_same_agi
from coovox_billing.shipped import shipped

EXTENSIONS = b"[general]\nstatic=yes\n\n[from-internal]\nexten => _1XX,1,Dial(PJSIP/${EXTEN},20)\n"
MANAGER = b"[general]\nenabled = yes\nport = 5038\nbindaddr = 127.0.0.1\n"
CEL = b"[general]\napps=dial,park\nevents=APP_START,CHAN_START\n\n[manager]\nenabled=yes\n"
CEL_CUSTOM = b"[mappings]\nown.csv => ${eventtype}\n"
LINE = b"#include extensions_coovox_billing.conf ; CooVox Billing\n"
AMI_LINE = b"#include manager_coovox_billing.conf ; CooVox Billing\n"
CEL_LINES = {
    "cel.conf": b"#include cel_coovox_billing.conf ; CooVox Billing\n",
    "cel_custom.conf": b"#include cel_custom_coovox_billing.conf ; CooVox Billing\n",
}
CEL_FILES = {"cel_coovox_billing.conf", "cel_custom_coovox_billing.conf"}
HOSTS = {"asterisk.conf", "extensions.conf", "manager.conf", *CEL_LINES}
DIALPLAN_FILE = "extensions_coovox_billing.conf"
AMI_FILE = "manager_coovox_billing.conf"
MODULES_OF = {
    "the core": "Answer Goto GotoIf Hangup MSet SayNumber Set Wait",
    "res_agi": "AGI",
    "app_celgenuserevent": "CELGenUserEvent",
    "app_dial": "Dial",
    "app_exec": "ExecIf TryExec",
    "app_playback": "Playback",
    "app_playtones": "Playtones",
    "app_stack": "Gosub GosubIf LOCAL Return STACK_PEEK",
    "app_userevent": "UserEvent",
    "func_callerid": "CALLERID",
    "func_cdr": "CDR_PROP",
    "func_channel": "CHANNEL MASTER_CHANNEL",
    "func_cut": "CUT",
    "func_db": "DB DB_DELETE DB_EXISTS",
    "func_dialplan": "DIALPLAN_EXISTS",
    "func_env": "STAT",
    "func_logic": "IF",
    "func_rand": "RAND",
    "func_strings": "FIELDQTY FILTER LEN SHIFT STRFTIME STRREPLACE",
    "func_timeout": "TIMEOUT",
}
ROUTE = b"exten => _9X.,1,Gosub(coovox-billing-dial,s,1(${EXTEN},PJSIP/${EXTEN:1}@trunk,30,,trunk))\n"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    return an_etc(tmp_path / "asterisk")


def an_etc(path: Path, extensions: bytes = EXTENSIONS, manager: bytes = MANAGER) -> Path:
    path.mkdir()
    (path / "extensions.conf").write_bytes(extensions)
    (path / "manager.conf").write_bytes(manager)
    (path / "cel.conf").write_bytes(CEL)
    (path / "cel_custom.conf").write_bytes(CEL_CUSTOM)
    logs_of(path).mkdir()
    (path / "asterisk.conf").write_text(f"[directories]\nastlogdir => {logs_of(path)}\n")
    return path


def logs_of(etc: Path) -> Path:
    """Where that Asterisk keeps its logs."""
    return etc.with_name(f"{etc.name}-log")


def cel_directory(etc: Path) -> Path:
    return logs_of(etc) / "cel-custom"


def tree(etc: Path) -> dict[str, tuple[bytes, int, int]]:
    """Everything in a directory that a change would show in."""
    return {
        str(path.relative_to(etc.parent)): (
            b"" if path.is_dir() else path.read_bytes(),
            path.stat().st_mode,
            path.stat().st_ino,
        )
        for top in (etc, logs_of(etc))
        for path in top.rglob("*")
    }


def contents(etc: Path) -> dict[str, tuple[bytes, int]]:
    return {name: (data, mode) for name, (data, mode, _) in tree(etc).items()}


def bad(items: list[Item]) -> list[str]:
    return [item.name for item in items if not item.ok]


def running(command: str) -> str:
    """An Asterisk in which all is well, answering as 16 and 22 do."""
    if command == "module show":
        return modules_but()
    if command.startswith("dialplan show coovox-billing"):
        return shown(command.removeprefix("dialplan show "))
    if command == "dialplan show globals":
        return "   TRUNK=PJSIP/trunk\n\n    -- 1 variable(s)\n"
    if command == "core show version":
        return "Asterisk 22.10.1~dfsg built by nobody @ debian.org on a x86_64 running Linux\n"
    if command == "cel show status":
        return (
            "CEL Logging: Enabled\nCEL Tracking Event: HANGUP\nCEL Tracking Event: ANSWER\n"
            "CEL Tracking Event: USER_DEFINED\nCEL Event Subscriber: CEL Custom CSV Logging\n\n"
        )
    return user_with("system,call,user", "system,call,originate")


def modules_but(*missing: str) -> str:
    """What `module show` says where some are not there."""
    rows = [
        f"{module}.so                    Something             1          Running              core\n"
        for module in (*REQUIRED_MODULES, *CEL_MODULES)
        if module not in missing
    ]
    return "Module                         Description           Use Count  Status      Support Level\n" + "".join(rows)


def shown(context: str, lines: Sequence[str] | None = None, files: Sequence[str] = (DIALPLAN_FILE,)) -> str:
    """A context as `dialplan show` prints it: as the files are shipped, or with other lines."""
    if lines is None:
        texts = [(shipped("asterisk") / file).read_text() for file in files]
        here = "\n".join(text.partition(f"[{context}]\n")[2].split("\n[")[0] for text in texts)
        lines = re.findall(r"^(?:exten| same) => (?:[^,]+,)?(?:1|n)(?:\(\w+\))?,(.*)$", here, re.MULTILINE)
    head = f"[ Context '{context}' created by 'pbx_config' ]\n"
    rows = [f"     [label]   {at}. {text}   [{DIALPLAN_FILE}:{at}]\n" for at, text in enumerate(lines, 1)]
    return head + "".join(rows) + f"\n-= 1 extension ({len(rows)} priorities) in 1 context. =-\n"


def user_with(read: str, write: str) -> str:
    return (
        "\n          username: coovox-billing\n            secret: <Set>\n               ACL: yes\n"
        f"         read perm: {read}\n        write perm: {write}\n   displayconnects: yes\n"
    )


def answering(**replies: str) -> Callable[[str], str]:
    """An Asterisk that answers one command otherwise; `_` in a name stands for a blank."""
    return lambda command: replies.get(command.replace(" ", "_").replace("-", "_"), running(command))


# It installs.


def test_it_puts_the_shipped_dialplan_in_place_and_includes_it(etc: Path) -> None:
    assert bad(install(etc)) == []
    assert (etc / DIALPLAN_FILE).read_bytes() == (shipped("asterisk") / DIALPLAN_FILE).read_bytes()
    assert (etc / "extensions.conf").read_bytes() == EXTENSIONS + LINE


def test_it_makes_an_ami_user_with_a_random_secret_and_includes_it(etc: Path, tmp_path: Path) -> None:
    install(etc)
    written = (etc / AMI_FILE).read_bytes()
    settings = [text for _, text in active_lines(written)]
    secret = settings.pop(1).removeprefix("secret = ")
    assert settings == [
        "[coovox-billing]",
        "deny = 0.0.0.0/0.0.0.0",
        "deny = ::/0",
        "permit = 127.0.0.1/255.255.255.255",
        "eventfilter = UserEvent: CooVoxAnswered",
        "eventfilter = Event: FullyBooted",
        "displayconnects = no",
        "read = system,call,user",
        "write = system,call,originate",
    ]
    assert len(secret) == 48
    assert b"@SECRET@" not in written
    assert (etc / "manager.conf").read_bytes() == MANAGER + AMI_LINE
    other = an_etc(tmp_path / "other")
    install(other)
    assert secret.encode() not in (other / AMI_FILE).read_bytes()


def test_it_changes_nothing_the_second_time(etc: Path) -> None:
    install(etc)
    before = tree(etc)
    items = install(etc)
    assert tree(etc) == before
    assert bad(items) == []
    assert all("already" in item.message for item in items)


def test_it_brings_an_older_dialplan_of_ours_up_to_date(etc: Path) -> None:
    (etc / DIALPLAN_FILE).write_bytes(b"; CooVox Billing dialplan\n[old]\n")
    items = install(etc)
    assert (etc / DIALPLAN_FILE).read_bytes() == (shipped("asterisk") / DIALPLAN_FILE).read_bytes()
    assert "brought up to date" in items[0].message


def test_it_keeps_the_secret_when_it_brings_the_ami_user_up_to_date(etc: Path) -> None:
    (etc / AMI_FILE).write_bytes(b"; CooVox Billing manager user\n[coovox-billing]\nsecret = kept\nread = all\n")
    install(etc)
    settings = [text for _, text in active_lines((etc / AMI_FILE).read_bytes())]
    assert "secret = kept" in settings
    assert "read = all" not in settings


def test_it_makes_a_secret_where_the_template_was_only_copied(etc: Path) -> None:
    (etc / AMI_FILE).write_bytes((shipped("asterisk") / AMI_FILE).read_bytes())
    install(etc)
    assert b"@SECRET@" not in (etc / AMI_FILE).read_bytes()


@pytest.mark.parametrize("name", [DIALPLAN_FILE, AMI_FILE, *sorted(CEL_FILES)])
def test_it_refuses_a_file_of_our_name_that_is_not_ours(etc: Path, name: str) -> None:
    (etc / name).write_bytes(b"; mine\n")
    before = tree(etc)
    with pytest.raises(SetupError, match=f"{name} was not written by CooVox Billing"):
        install(etc)
    assert tree(etc) == before


@pytest.mark.parametrize("target", [DIALPLAN_FILE, "nowhere"])
def test_it_refuses_a_link_of_our_name(etc: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / DIALPLAN_FILE).write_bytes(b"; CooVox Billing dialplan\n")
    (etc / DIALPLAN_FILE).symlink_to(tmp_path / target)
    with pytest.raises(SetupError, match="was not written by CooVox Billing"):
        install(etc)
    assert (tmp_path / DIALPLAN_FILE).read_bytes() == b"; CooVox Billing dialplan\n"


def test_it_refuses_a_directory_without_an_extensions_conf(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"extensions\.conf is missing: install Asterisk"):
        install(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_it_installs_without_an_ami_user_where_there_is_no_manager_conf(etc: Path) -> None:
    (etc / "manager.conf").unlink()
    items = install(etc)
    assert bad(items) == ["AMI user"]
    assert {path.name for path in etc.iterdir()} == (HOSTS - {"manager.conf"}) | {DIALPLAN_FILE} | CEL_FILES


@pytest.mark.parametrize(
    "include",
    [
        b"#include extensions_coovox_billing.conf",
        b'#include "extensions_coovox_billing.conf"',
        b"#include <extensions_coovox_billing.conf>\r",
        b"#tryinclude extensions_coovox_billing.conf",
        b"#include extensions_*.conf",
        b"#include ./extensions_coovox_billing.conf ; ours",
    ],
)
def test_it_adds_no_line_where_a_line_includes_us_already(etc: Path, include: bytes) -> None:
    (etc / "extensions.conf").write_bytes(EXTENSIONS + include + b"\n")
    install(etc)
    assert (etc / "extensions.conf").read_bytes() == EXTENSIONS + include + b"\n"


def test_it_adds_no_line_where_an_included_file_includes_us(etc: Path) -> None:
    (etc / "extensions.conf").write_bytes(b"#include more.conf\n")
    (etc / "more.conf").write_bytes(b"#include extensions_coovox_billing.conf\n")
    install(etc)
    assert (etc / "extensions.conf").read_bytes() == b"#include more.conf\n"


@pytest.mark.parametrize(
    "comment",
    [
        b";#include extensions_coovox_billing.conf\n",
        b";" + LINE,
        b";--\n" + LINE + b"--;\n",
        b"#include other_coovox_billing.conf\n",
    ],
)
def test_it_adds_its_line_where_only_a_comment_or_another_line_has_it(etc: Path, comment: bytes) -> None:
    (etc / "extensions.conf").write_bytes(EXTENSIONS + comment)
    install(etc)
    assert (etc / "extensions.conf").read_bytes() == EXTENSIONS + comment + LINE


def test_it_refuses_a_file_that_ends_inside_a_block_comment(etc: Path) -> None:
    (etc / "extensions.conf").write_bytes(EXTENSIONS + b";-- never closed\n")
    before = tree(etc)
    with pytest.raises(SetupError, match="inside a block comment"):
        install(etc)
    assert tree(etc) == before


def test_it_keeps_line_ends_of_a_dos_file(etc: Path) -> None:
    (etc / "extensions.conf").write_bytes(b"[a]\r\nb=c\r\n")
    install(etc)
    assert (etc / "extensions.conf").read_bytes() == b"[a]\r\nb=c\r\n" + LINE.replace(b"\n", b"\r\n")


def test_it_begins_a_new_line_where_the_last_one_has_no_end(etc: Path) -> None:
    (etc / "extensions.conf").write_bytes(b"[a]\nb=c")
    install(etc)
    lines = (etc / "extensions.conf").read_bytes().split(b"\n")
    assert lines[:2] == [b"[a]", b"b=c"]
    assert lines[2].startswith(LINE.rstrip())
    assert lines[3:] == [b""]


def test_it_writes_through_a_link(etc: Path, tmp_path: Path) -> None:
    real = tmp_path / "real.conf"
    (etc / "extensions.conf").rename(real)
    (etc / "extensions.conf").symlink_to(real)
    install(etc)
    assert (etc / "extensions.conf").is_symlink()
    assert real.read_bytes() == EXTENSIONS + LINE


def test_it_keeps_the_mode_of_the_sites_files_and_gives_it_to_the_dialplan(etc: Path) -> None:
    (etc / "extensions.conf").chmod(0o604)
    install(etc)
    modes = {name: stat.S_IMODE((etc / name).stat().st_mode) for name in ("extensions.conf", DIALPLAN_FILE)}
    assert modes == {"extensions.conf": 0o604, DIALPLAN_FILE: 0o604}


def test_it_hides_the_secret_from_everybody_else_whatever_manager_conf_allows(etc: Path) -> None:
    (etc / "manager.conf").chmod(0o644)
    install(etc)
    assert stat.S_IMODE((etc / AMI_FILE).stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_it_keeps_the_owner_of_the_sites_files_and_gives_ours_to_the_same(etc: Path) -> None:
    for path in etc.iterdir():
        os.chown(path, 4321, 1234)
    install(etc)
    assert {(path.stat().st_uid, path.stat().st_gid) for path in etc.iterdir()} == {(4321, 1234)}


def test_it_leaves_no_other_file_behind(etc: Path) -> None:
    (etc / ".extensions.conf.coovox-billing").write_bytes(b"left by a pulled plug")
    install(etc)
    names = {path.name for path in etc.iterdir()}
    assert names == HOSTS | {DIALPLAN_FILE, AMI_FILE} | CEL_FILES


def test_it_says_to_use_sudo_where_it_may_not_write(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_after(monkeypatch, 0, PermissionError(13, "Permission denied"))
    before = tree(etc)
    with pytest.raises(SetupError, match="with sudo"):
        install(etc)
    assert tree(etc) == before


@pytest.mark.parametrize("steps", range(9))
def test_it_undoes_an_installation_that_fails_half_way(etc: Path, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    before = contents(etc)
    fail_after(monkeypatch, steps, OSError(28, "No space left on device"))
    with pytest.raises(SetupError, match="No space left on device"):
        install(etc)
    assert contents(etc) == before


@pytest.mark.parametrize("steps", range(9))
def test_it_undoes_an_installation_that_is_interrupted(etc: Path, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    before = contents(etc)
    fail_after(monkeypatch, steps, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        install(etc)
    assert contents(etc) == before


def test_it_names_what_it_could_not_put_back(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_after(monkeypatch, 2, OSError(5, "Input/output error"), for_good=True)
    with pytest.raises(SetupError, match=r"could not be put back: .*extensions\.conf"):
        install(etc)


# Its CEL file.


def test_it_has_asterisk_keep_a_cel_file_beside_the_sites_own(etc: Path) -> None:
    assert bad(install(etc)) == []
    for host, before in (("cel.conf", CEL), ("cel_custom.conf", CEL_CUSTOM)):
        assert (etc / host).read_bytes() == before + CEL_LINES[host]
    for name in CEL_FILES:
        assert (etc / name).read_bytes() == (shipped("asterisk") / name).read_bytes()


def test_it_makes_the_directory_of_the_cel_file_for_asterisk_and_its_group(etc: Path) -> None:
    install(etc)
    made, logs = cel_directory(etc).stat(), logs_of(etc).stat()
    assert (stat.S_IMODE(made.st_mode), made.st_uid) == (0o2770, logs.st_uid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_it_gives_the_directory_of_the_cel_file_to_who_has_the_logs(etc: Path) -> None:
    os.chown(logs_of(etc), 4321, 1234)
    install(etc)
    made = cel_directory(etc).stat()
    assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (4321, 1234, 0o2770)


def test_it_leaves_a_directory_that_is_there_as_it_is(etc: Path) -> None:
    cel_directory(etc).mkdir(mode=0o700)
    before = cel_directory(etc).stat()
    assert bad(install(etc)) == []
    after = cel_directory(etc).stat()
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)
    assert "CEL directory" in bad(check(etc, running))
    remove(etc)
    assert cel_directory(etc).is_dir()


@pytest.mark.parametrize("missing", [["cel.conf"], ["cel_custom.conf"], ["cel.conf", "cel_custom.conf"]])
def test_it_installs_the_rest_where_asterisk_has_no_configuration_of_cel(etc: Path, missing: list[str]) -> None:
    for host in missing:
        (etc / host).unlink()
    items = install(etc)
    assert bad(items) == ["CEL"]
    assert [str(etc / host) in items[-1].what_to_do for host in CEL_LINES] == [host in missing for host in CEL_LINES]
    assert not CEL_FILES & {path.name for path in etc.iterdir()}
    assert bad(check(etc, running)) == ["CEL", "CEL directory", "routes"]
    for host in missing:
        (etc / host).touch()
    assert bad(install(etc)) == []
    assert bad(check(etc, running)) == ["routes"]


def test_it_installs_the_rest_where_the_logs_are_nowhere(etc: Path) -> None:
    logs_of(etc).rmdir()
    items = install(etc)
    assert bad(items) == ["CEL directory"]
    assert str(logs_of(etc)) in items[-1].message
    assert not logs_of(etc).exists()


def test_it_makes_no_directory_where_nothing_tells_of_the_logs(etc: Path) -> None:
    (etc / "asterisk.conf").unlink()
    assert bad(install(etc)) == ["CEL directory"]
    assert bad(check(etc, running)) == ["routes"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[directories]\nastlogdir => /a\n", "/a"),
        ("[directories]\nastlogdir=/a ; here\nastspooldir => /s\n", "/a"),
        ("[directories](!)\nastlogdir => /a\n", "/var/log/asterisk"),
        ("[options]\nastlogdir => /a\n", "/var/log/asterisk"),
        ("[directories]\nastlogdir => /a\n[directories](+)\nastlogdir => /b\n", "/b"),
        ("", "/var/log/asterisk"),
    ],
)
def test_it_finds_asterisks_logs(etc: Path, text: str, named: str) -> None:
    (etc / "asterisk.conf").write_text(text)
    assert log_directory_of(etc) == Path(named)


def test_it_keeps_what_was_recorded_when_it_removes(etc: Path) -> None:
    install(etc)
    (cel_directory(etc) / "coovox-billing.csv").write_bytes(b"recorded\n")
    assert bad(remove(etc)) == []
    assert (cel_directory(etc) / "coovox-billing.csv").read_bytes() == b"recorded\n"
    assert not CEL_FILES & {path.name for path in etc.iterdir()}


def test_it_says_where_a_later_line_switches_cel_off_again(etc: Path) -> None:
    install(etc)
    with (etc / "cel.conf").open("ab") as file:
        file.write(b"[general](+)\nenable = no\n")
    assert "CEL enabled" in bad(check(etc, running))


@pytest.mark.parametrize("mode", [0o2750, 0o3770, 0o700])
def test_it_says_where_billing_cannot_rotate(etc: Path, mode: int) -> None:
    install(etc)
    cel_directory(etc).chmod(mode)
    (item,) = (item for item in check(etc, running) if not item.ok and item.name == "CEL directory")
    assert f"chmod g+rwxs,-t {cel_directory(etc)}" in item.what_to_do


def test_it_says_where_only_asterisk_can_read_the_file(etc: Path) -> None:
    install(etc)
    file = cel_directory(etc) / "coovox-billing.csv"
    file.touch()
    assert "CEL directory" not in bad(check(etc, running))
    file.chmod(0o600)
    assert "CEL directory" in bad(check(etc, running))


def test_it_says_where_billing_looks_for_records_elsewhere(etc: Path) -> None:
    install(etc)
    assert "asterisk_log" not in {item.name for item in check(etc, running, asterisk_log=logs_of(etc))}
    assert "asterisk_log" in bad(check(etc, running, asterisk_log=Path("/elsewhere")))


@pytest.mark.parametrize(
    "status",
    [
        "CEL Logging: Disabled\n",
        "CEL Logging: Enabled\nCEL Tracking Event: HANGUP\nCEL Event Subscriber: CEL Custom CSV Logging\n",
        "CEL Logging: Enabled\nCEL Tracking Event: ALL\nCEL Event Subscriber: Manager Event Logging\n",
    ],
)
def test_it_notices_that_nothing_is_recorded(etc: Path, status: str) -> None:
    install(etc)
    assert "CEL loaded" in bad(check(etc, answering(cel_show_status=status)))


def test_it_is_content_with_a_site_that_records_everything(etc: Path) -> None:
    install(etc)
    status = "CEL Logging: Enabled\nCEL Tracking Event: ALL\nCEL Event Subscriber: CEL Custom CSV Logging\n"
    assert "CEL loaded" not in bad(check(etc, answering(cel_show_status=status)))


@pytest.mark.parametrize(("version", "asked"), [("Asterisk 16.28.0~dfsg built", False), ("Asterisk 22.10.1", True)])
def test_it_asks_for_the_writer_of_asterisk_22_where_there_is_no_cel_file(etc: Path, version: str, asked: bool) -> None:
    missing = "0 modules loaded\n"
    items = check(etc, answering(core_show_version=version, module_show=modules_but("cel_custom") + missing))
    assert ("module res_cdrel_custom" in bad(items)) == asked
    assert "module cel_custom" in bad(items)


def fail_after(monkeypatch: pytest.MonkeyPatch, steps: int, error: BaseException, for_good: bool = False) -> None:
    """Let one change of a file, or every one from it on, fail."""
    change = installer._put
    left = [steps]

    def failing(one: installer._Change, data: bytes | None) -> None:
        left[0] -= 1
        if left[0] == -1 or (for_good and left[0] < 0):
            raise error
        change(one, data)

    monkeypatch.setattr(installer, "_put", failing)


# It removes.


def test_it_gives_back_what_was_there_before(etc: Path) -> None:
    before = contents(etc)
    install(etc)
    assert bad(remove(etc)) == []
    assert contents(etc) == before


ODD = (
    st.binary(max_size=40)
    | st.lists(
        st.sampled_from([b"[a]", b"x=1", b"", b";", b";--", b"--;", b"\r", b"\n", b"\r\n", b"\xff\xfe", b"\0"])
    ).map(b"".join)
    | st.lists(st.sampled_from([b"\n", b"\r\n", LINE, b";" + LINE, b" " + LINE, LINE[:-1] + b"x\n"])).map(b"".join)
)


# Each waits for the disk a dozen times, which others may be using.
@given(extensions=ODD, manager=ODD)
@example(extensions=b"", manager=b"\n")
@example(extensions=b"a", manager=b"a\r")
@example(extensions=b"a\r\nb", manager=b"a\r\nb\r")
@example(extensions=b";--\n" + LINE + b"--;\n", manager=b"\xef\xbb\xbf[a]")
def test_it_gives_back_every_byte_of_odd_files(
    tmp_path_factory: pytest.TempPathFactory, extensions: bytes, manager: bytes
) -> None:
    etc = an_etc(tmp_path_factory.mktemp("odd") / "asterisk", extensions, manager)
    before = contents(etc)
    lines = extensions.split(b"\n")
    # A line like ours that the site itself wrote cannot be told from ours.
    assume(not any(lines[at - 1].removesuffix(b"\r") == LINE.rstrip() for at, _ in active_lines(extensions)))
    try:
        install(etc)
    except SetupError:
        assert contents(etc) == before
        return
    remove(etc)
    after = contents(etc)
    assert {name: after[name] for name in before} == before


@given(extensions=ODD)
def test_it_includes_us_exactly_once_in_odd_files(tmp_path_factory: pytest.TempPathFactory, extensions: bytes) -> None:
    etc = an_etc(tmp_path_factory.mktemp("odd") / "asterisk", extensions)
    before = [text for _, text in active_lines(extensions)]
    try:
        install(etc)
    except SetupError:
        return
    after = [text for _, text in active_lines((etc / "extensions.conf").read_bytes())]
    directive = "#include extensions_coovox_billing.conf"
    assert after == before or after == [*before, directive]
    assert directive in after


def test_it_leaves_the_rest_alone_that_was_written_after_the_installation(etc: Path) -> None:
    install(etc)
    with (etc / "extensions.conf").open("ab") as file:
        file.write(b"[later]\nexten => 1,1,NoOp()")
    remove(etc)
    assert (etc / "extensions.conf").read_bytes() == EXTENSIONS + b"[later]\nexten => 1,1,NoOp()"


def test_it_does_not_join_lines_that_were_written_around_its_own(etc: Path) -> None:
    (etc / "extensions.conf").write_bytes(b"[a]\nb=c")
    install(etc)
    with (etc / "extensions.conf").open("ab") as file:
        file.write(b"[later]\n")
    remove(etc)
    assert (etc / "extensions.conf").read_bytes() == b"[a]\nb=c\n[later]\n"


def test_it_takes_its_line_out_of_a_file_whose_last_line_end_has_gone(etc: Path) -> None:
    install(etc)
    (etc / "extensions.conf").write_bytes(EXTENSIONS + LINE.rstrip())
    remove(etc)
    assert (etc / "extensions.conf").read_bytes() == EXTENSIONS


@pytest.mark.parametrize(
    "edited",
    [
        b"#include extensions_coovox_billing.conf\n",
        b"#include extensions_coovox_billing.conf ; CooVox Billing, do not touch\n",
        b" " + LINE,
    ],
)
def test_it_leaves_an_edited_line_and_the_file_that_it_needs_and_names_both(etc: Path, edited: bytes) -> None:
    install(etc)
    (etc / "extensions.conf").write_bytes(EXTENSIONS + edited)
    items = remove(etc)
    assert bad(items) == ["dialplan include", "dialplan file"]
    assert "extensions.conf line 6 was not written by install" in items[-2].message
    assert (etc / "extensions.conf").read_bytes() == EXTENSIONS + edited
    assert (etc / DIALPLAN_FILE).exists()
    assert not (etc / AMI_FILE).exists()


@pytest.mark.parametrize("edited", [b"#tryinclude extensions_coovox_billing.conf\n", b"#include ext*.conf\n"])
def test_it_removes_the_file_where_the_edited_line_does_without_it(etc: Path, edited: bytes) -> None:
    (etc / "extra.conf").write_bytes(b"[extra]\n")
    (etc / "extensions.conf").write_bytes(EXTENSIONS + edited)
    install(etc)
    items = remove(etc)
    assert bad(items) == ["dialplan include"]
    assert not (etc / DIALPLAN_FILE).exists()


def test_it_leaves_a_file_of_our_name_that_is_not_ours_and_names_it(etc: Path) -> None:
    (etc / DIALPLAN_FILE).write_bytes(b"; mine\n")
    items = remove(etc)
    assert bad(items) == ["dialplan file"]
    assert (etc / DIALPLAN_FILE).read_bytes() == b"; mine\n"


def test_it_has_nothing_to_remove_where_nothing_was_installed(etc: Path) -> None:
    before = tree(etc)
    items = remove(etc)
    assert [item.message for item in items] == ["nothing of billing was installed"]
    assert tree(etc) == before


def test_it_removes_what_is_there_even_without_the_files_that_included_it(etc: Path) -> None:
    install(etc)
    for host in HOSTS:
        (etc / host).unlink()
    remove(etc)
    assert list(etc.iterdir()) == []


def test_it_names_the_routes_that_still_call_the_subroutine(etc: Path) -> None:
    (etc / "extensions.conf").write_bytes(EXTENSIONS + ROUTE)
    install(etc)
    items = remove(etc)
    assert bad(items) == ["route"]
    assert "extensions.conf line 6 still calls coovox-billing-dial" in items[-1].message


def test_calls_pass_unbilled_where_billing_goes_and_a_route_still_needs_it(etc: Path) -> None:
    (etc / "extensions.conf").write_bytes(EXTENSIONS + ROUTE)
    install(etc)
    items = remove(etc, let_calls_pass=True)
    assert bad(items) == []
    assert "extensions.conf line 6 still calls billing: its calls pass" in items[-1].message
    passing = (etc / "extensions_coovox_billing.conf").read_text()
    assert "Dial(${ARG2},${ARG3},${ARG4})" in passing
    assert "AGI" not in passing
    assert not (etc / "manager_coovox_billing.conf").exists()
    assert LINE in (etc / "extensions.conf").read_bytes()
    assert bad(remove(etc, let_calls_pass=True)) == [], "again"
    install(etc)
    assert "/authorize" in (etc / "extensions_coovox_billing.conf").read_text()


def test_nothing_stays_where_billing_goes_and_no_route_needs_it(etc: Path) -> None:
    before = contents(etc)
    install(etc)
    assert bad(remove(etc, let_calls_pass=True)) == []
    assert contents(etc) == before


@pytest.mark.parametrize("steps", range(9))
def test_it_undoes_a_removal_that_fails_half_way(etc: Path, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    install(etc)
    before = contents(etc)
    fail_after(monkeypatch, steps, OSError(30, "Read-only file system"))
    with pytest.raises(SetupError, match="Read-only file system"):
        remove(etc)
    assert contents(etc) == before


# It checks.


def test_it_finds_nothing_missing_after_an_installation_with_a_billed_route(etc: Path) -> None:
    (etc / "extensions.conf").write_bytes(EXTENSIONS + ROUTE)
    install(etc)
    items = check(etc, running)
    assert bad(items) == []
    assert {f"module {module}" for module in REQUIRED_MODULES} <= {item.name for item in items}


def test_it_asks_for_the_module_of_everything_that_the_dialplan_uses() -> None:
    lines = (shipped("asterisk") / DIALPLAN_FILE).read_text().splitlines()
    code = "\n".join(line for line in lines if not line.startswith(";"))
    used = set(re.findall(r"(?<![\w-])([A-Z][A-Za-z_]+)\(", code))
    needed = {module for module, names in MODULES_OF.items() if used & set(names.split())}
    assert used <= set(" ".join(MODULES_OF.values()).split()), "name the module of what is new"
    assert (needed | {"app_chanspy"}) - {"the core", "app_celgenuserevent"} == set(REQUIRED_MODULES)


def test_it_says_what_to_do_for_everything_that_is_missing(etc: Path) -> None:
    items = check(etc, running)
    assert bad(items) == [
        "dialplan file",
        "dialplan include",
        "AMI user file",
        "AMI user include",
        "CEL file",
        "CEL include",
        "CEL mapping file",
        "CEL mapping include",
        "CEL enabled",
        "CEL directory",
        "routes",
    ]
    assert all(item.what_to_do for item in items if not item.ok)


def test_it_notices_a_dialplan_of_another_version(etc: Path) -> None:
    install(etc)
    (etc / DIALPLAN_FILE).write_bytes(b"; CooVox Billing dialplan\n[old]\n")
    assert "dialplan file" in bad(check(etc, running))


def test_it_notices_an_include_that_was_commented_out(etc: Path) -> None:
    install(etc)
    (etc / "extensions.conf").write_bytes(EXTENSIONS + b";" + LINE)
    assert "dialplan include" in bad(check(etc, running))


def test_it_notices_a_secret_that_everybody_can_read(etc: Path) -> None:
    install(etc)
    (etc / AMI_FILE).chmod(0o644)
    assert "AMI user file" in bad(check(etc, running))


@pytest.mark.parametrize("enabled", [b"enabled = yes", b"Enabled=1", b"enabled => on", b"enabled=no\nenabled=yes"])
def test_it_sees_ami_enabled(etc: Path, enabled: bytes) -> None:
    (etc / "manager.conf").write_bytes(b"[general]\n" + enabled + b"\n")
    assert "AMI enabled" not in bad(check(etc, running))


@pytest.mark.parametrize("enabled", [b"", b"enabled = no", b";enabled = yes", b"[other]\nenabled = yes"])
def test_it_sees_ami_not_enabled(etc: Path, enabled: bytes) -> None:
    (etc / "manager.conf").write_bytes(b"[general]\n" + enabled + b"\n")
    (item,) = (item for item in check(etc, running) if item.name == "AMI enabled")
    assert (item.ok, item.message.partition(":")[0]) == (False, "AMI is off")
    assert item.what_to_do.startswith(f"put `enabled = yes` under [general] of {etc}/manager.conf")


def test_it_asks_for_ami_where_there_is_no_manager_conf(etc: Path) -> None:
    (etc / "manager.conf").unlink()
    assert "AMI enabled" in bad(check(etc, running))


def test_it_does_not_ask_for_ami_where_the_site_does_without(etc: Path) -> None:
    (etc / "manager.conf").unlink()
    assert "AMI enabled" not in bad(check(etc, running, is_ami_meant=False))


def test_it_advises_for_the_directory_that_it_looked_at(etc: Path) -> None:
    advice = {item.what_to_do for item in check(etc, running) if "pbx install" in item.what_to_do}
    assert advice == {f"run: coovox-billing pbx install --etc {etc}"}


@pytest.mark.parametrize("act", [install, remove, lambda etc: check(etc, running)], ids=["install", "remove", "check"])
def test_it_refuses_a_directory_that_is_not_there(tmp_path: Path, act: Callable[[Path], list[Item]]) -> None:
    with pytest.raises(SetupError, match=f"{tmp_path}/nowhere is not a directory"):
        act(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "reply",
    [
        "0 modules loaded\n",
        "func_cut.so   Cut out information    0    Not Running    core\n",
        "func_cut_more.so   Other    0    Running    core\n",
    ],
)
def test_it_notices_a_module_that_is_not_loaded(etc: Path, reply: str) -> None:
    install(etc)
    items = check(etc, answering(module_show=modules_but("func_cut") + reply))
    assert bad(items) == ["module func_cut", "routes"]
    assert "module load func_cut.so" in next(item.what_to_do for item in items if not item.ok)


def test_it_notices_a_dialplan_that_was_not_reloaded(etc: Path) -> None:
    install(etc)
    reply = "There is no existence of 'coovox-billing-dial' context\n"
    assert "dialplan loaded" in bad(check(etc, answering(dialplan_show_coovox_billing_dial=reply)))


def test_it_notices_an_ami_user_that_asterisk_does_not_know(etc: Path) -> None:
    install(etc)
    reply = "There is no manager called coovox-billing\n"
    assert "AMI user loaded" in bad(check(etc, answering(manager_show_user_coovox_billing=reply)))


def test_it_says_so_where_asterisk_does_not_run(etc: Path) -> None:
    def stopped(command: str) -> str:
        raise SetupError("Asterisk does not run")

    names = [item.name for item in check(etc, stopped)]
    assert "Asterisk" in bad(check(etc, stopped))
    assert not [name for name in names if name.startswith("module")]


def test_it_says_so_where_there_is_no_asterisk_command(etc: Path) -> None:
    assert "Asterisk" in bad(check(etc, None))


def test_it_names_an_include_for_which_asterisk_refuses_its_configuration(etc: Path) -> None:
    (etc / "extensions.conf").write_bytes(b"#include gone.conf\n" + EXTENSIONS)
    messages = [item.message for item in check(etc, running) if item.name == "include"]
    assert messages == ["extensions.conf line 1 includes a file that is not there: #include gone.conf"]


def test_it_names_routes_that_escape_billing(etc: Path) -> None:
    escaping = b"exten => _8X.,1,Dial(PJSIP/${EXTEN}@trunk)\n" + ROUTE.replace(b",,trunk", b",tp,trunk")
    (etc / "extensions.conf").write_bytes(EXTENSIONS + ROUTE + escaping)
    items = [item for item in check(etc, running) if item.name.startswith("route")]
    assert [item.ok for item in items] == [False, False]
    assert "option p escapes billing" in items[0].message
    assert "line 7 ([from-internal] _8X., priority 1) dials PJSIP/trunk without billing" in items[1].message


def test_it_says_which_lines_a_program_makes(etc: Path) -> None:
    (etc / "extensions.conf").write_bytes(EXTENSIONS + ROUTE + b"#exec /usr/local/bin/routes\n")
    items = [item for item in check(etc, running) if item.name.startswith("route")]
    assert [item.ok for item in items] == [True, True]
    assert "extensions.conf line 7 is made by a program" in items[0].message


def finding(items: list[Item], name: str) -> Item:
    """The one fault of that name."""
    (found,) = [item for item in items if item.name == name and not item.ok]
    return found


def test_it_notices_that_what_runs_is_not_what_the_file_says(etc: Path) -> None:
    install(etc)
    older = shown("coovox-billing-settle", ["Set(COOVOX_LEG_ENDED=1)", "Return()"])
    item = finding(check(etc, answering(dialplan_show_coovox_billing_settle=older)), "dialplan loaded")
    assert item.message.startswith("the running Asterisk has other lines in coovox-billing-settle than")
    assert item.what_to_do == "run: asterisk -rx 'dialplan reload'"


def test_it_notices_a_copy_of_ours_in_another_file(etc: Path) -> None:
    install(etc)
    (etc / "extensions_custom.conf").write_bytes(b"[coovox-billing-dial]\nexten => s,1,Dial(${ARG2})\n")
    (etc / "extensions.conf").write_bytes(b"#include extensions_custom.conf\n" + EXTENSIONS + ROUTE + LINE)
    item = finding(check(etc, running), "dialplan shadowed")
    assert item.message.startswith("extensions_custom.conf line 1 has a [coovox-billing-dial] of its own")


def test_it_notices_that_ours_is_included_twice(etc: Path) -> None:
    install(etc)
    (etc / "extensions.conf").write_bytes(EXTENSIONS + ROUTE + LINE + LINE)
    assert finding(check(etc, running), "dialplan twice").message.startswith(
        "extensions.conf line 7 and extensions.conf line 8 include"
    )


@pytest.mark.parametrize(
    ("asked", "answered", "same"),
    [
        ("agi://127.0.0.1:4573", "agi://127.0.0.1:4573", True),
        ("agi://localhost", "agi://127.0.0.1:4573", True),
        ("agi://localhost/", "agi://[::1]:4573", True),
        ("agi://10.0.0.2:4573", "agi://0.0.0.0:4573", True),
        ("agi://10.0.0.2:4574", "agi://0.0.0.0:4573", False),
        ("agi://10.0.0.2", "agi://127.0.0.1:4573", False),
        ("agi://127.0.0.1:4574", "agi://127.0.0.1:4573", False),
        ("http://127.0.0.1:4573", "agi://127.0.0.1:4573", False),
    ],
)
def test_it_knows_the_same_address_however_it_is_spelled(asked: str, answered: str, same: bool) -> None:
    assert is_same_agi(asked, answered) == same


def test_it_notices_an_agi_address_that_was_set_while_asterisk_ran(etc: Path) -> None:
    install(etc)
    said = "   COOVOX_AGI=agi://10.9.9.9:1\n"
    item = finding(check(etc, answering(dialplan_show_globals=said)), "AGI address running")
    assert "asks agi://10.9.9.9:1, the call plane answers on agi://127.0.0.1:4573" in item.message


@pytest.mark.parametrize(
    ("read", "write", "missing"),
    [
        ("call", "system,call,originate", "system (read), user (read)"),
        ("all", "system,call", "originate (write)"),
        ("<none>", "all", "system (read), user (read)"),
    ],
)
def test_it_names_what_the_ami_user_may_not(etc: Path, read: str, write: str, missing: str) -> None:
    install(etc)
    item = finding(check(etc, answering(manager_show_user_coovox_billing=user_with(read, write))), "AMI user loaded")
    assert item.message == f"the AMI user coovox-billing may not {missing}"


def test_it_takes_an_ami_user_who_may_all(etc: Path) -> None:
    install(etc)
    items = check(etc, answering(manager_show_user_coovox_billing=user_with("all", "all")))
    assert "AMI user loaded" not in bad(items)


@pytest.mark.parametrize(("bound", "found"), [(b"192.168.1.5", True), (b"0.0.0.0", False), (b"127.0.0.1", False)])
def test_it_notices_where_ami_is_bound_elsewhere(etc: Path, bound: bytes, found: bool) -> None:
    install(etc)
    (etc / "manager.conf").write_bytes(MANAGER.replace(b"127.0.0.1", bound) + AMI_LINE)
    assert ("AMI address" in bad(check(etc, running))) == found


@pytest.mark.parametrize(("version", "old"), [("13.38.3", True), ("16.28.0", False), ("certified/18.9-cert3", False)])
def test_it_notices_an_asterisk_that_is_too_old(etc: Path, version: str, old: bool) -> None:
    install(etc)
    said = f"Asterisk {version} built by nobody\n"
    assert ("Asterisk version" in bad(check(etc, answering(core_show_version=said)))) == old


def test_it_asks_an_asterisk_that_hangs_only_once(etc: Path) -> None:
    asked = []

    def hung(command: str) -> str:
        asked.append(command)
        raise SetupError("Asterisk did not answer in 2 s: look at its log")

    install(etc)
    assert "did not answer in 2 s" in finding(check(etc, hung), "Asterisk").message
    assert len(asked) == 1


def test_it_knows_the_sites_trunks_and_emergency_numbers(etc: Path) -> None:
    install(etc)
    bare = b"[outbound]\nexten => 200,1,Dial(PJSIP/backup)\n" + ROUTE
    (etc / "extensions.conf").write_bytes(EXTENSIONS + bare + LINE)
    known = Known(frozenset({"112", "911", "9911"}), frozenset({"PJSIP/backup"}))
    items = check(etc, running, known=known)
    assert "line 7 ([outbound] 200, priority 1) dials PJSIP/backup without billing" in finding(items, "route").message
    item = finding(items, "emergency")
    assert item.message == (
        "who dials the emergency number 911 is sent out as 11 by extensions.conf line 8 ([outbound] _9X.)"
    )


# It talks to Asterisk.


def test_it_reloads_all_that_it_installs() -> None:
    asked: list[str] = []

    def note(command: str) -> str:
        asked.append(command)
        return ""

    reload(note)
    assert asked == ["dialplan reload", "manager reload", "module reload cel", "module reload cel_custom.so"]


def test_it_loads_what_asterisk_22_gave_up_for_want_of_something_to_record() -> None:
    asked: list[str] = []

    def note(command: str) -> str:
        asked.append(command)
        return "The module 'cel_custom.so' was not properly initialized." if "cel_custom" in command else ""

    reload(note)
    assert asked[-1] == "module load cel_custom.so"


def an_asterisk(monkeypatch: pytest.MonkeyPatch, directory: Path, script: str) -> None:
    binary = directory / "asterisk"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


def test_it_asks_the_asterisk_command_in_one_argument(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    an_asterisk(monkeypatch, tmp_path, 'echo "$#" "$1" "$2"')
    cli = find_asterisk_cli()
    assert cli is not None
    assert cli("module show; id") == "2 -rx module show; id\n"


def test_it_gives_the_answer_of_a_command_that_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    an_asterisk(monkeypatch, tmp_path, "echo There is no existence; exit 1")
    cli = find_asterisk_cli()
    assert cli is not None
    assert cli("dialplan show x") == "There is no existence\n"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "echo 'Unable to connect to remote asterisk (does /run/asterisk.ctl exist?)' >&2; exit 1",
            "does not run",
        ),
        ("exec sleep 5", "did not answer"),
    ],
)
def test_it_says_why_asterisk_cannot_be_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, message: str
) -> None:
    monkeypatch.setattr(console, "PATIENCE_SECONDS", 0.2)
    an_asterisk(monkeypatch, tmp_path, script)
    cli = find_asterisk_cli()
    assert cli is not None
    with pytest.raises(SetupError, match=message):
        cli("core show version")


def test_it_finds_no_asterisk_where_none_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path: None)
    assert find_asterisk_cli() is None


def test_it_changes_no_file_of_the_system_that_somebody_puts_in_the_way(
    etc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who runs Asterisk may write its directory, and puts a link where root is just writing."""
    precious = tmp_path / "shadow"
    precious.touch(0o600)
    (etc / "extensions.conf").chmod(0o666)
    carry_over = installer._copy_attributes

    def swapped(path: Path, descriptor: int) -> None:
        temporary = path.with_name(f".{path.name}.coovox-billing")
        temporary.unlink()
        temporary.symlink_to(precious)
        carry_over(path, descriptor)

    monkeypatch.setattr(installer, "_copy_attributes", swapped)
    install(etc)
    assert stat.S_IMODE(precious.stat().st_mode) == 0o600
    assert precious.read_bytes() == b""


@pytest.mark.parametrize(
    ("address", "line"), [("192.168.1.20", "permit = 192.168.1.20/32"), ("fd00::0020", "permit = fd00::20/128")]
)
def test_it_writes_what_an_asterisk_elsewhere_needs(tmp_path: Path, address: str, line: str) -> None:
    folder = tmp_path / "made" / "pbx"
    assert bad(write_files(folder, address)) == []
    names = {f"extensions_coovox_billing{part}.conf" for part in ("", "_freepbx", "_hook")}
    assert {path.name for path in folder.iterdir()} == {*names, AMI_FILE}
    user = (folder / AMI_FILE).read_text()
    assert (line in user, "permit = 127.0.0.1" in user, "@SECRET@" in user) == (True, False, False)
    assert (folder.stat().st_mode & 0o077, (folder / AMI_FILE).stat().st_mode & 0o137) == (0, 0)
    write_files(folder, address)
    assert (folder / AMI_FILE).read_text() == user, "the PBX has that secret already"


def test_it_leaves_what_is_not_ours_in_a_folder_for_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no IP address"):
        write_files(tmp_path / "pbx", "billing.lan")
    (tmp_path / AMI_FILE).write_text("[me]\n")
    with pytest.raises(SetupError, match="not written by CooVox Billing"):
        write_files(tmp_path, "192.168.1.20")
    assert [path.name for path in tmp_path.iterdir()] == [AMI_FILE]
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="cannot be written"):
        write_files(tmp_path / "file" / "pbx", "192.168.1.20")
