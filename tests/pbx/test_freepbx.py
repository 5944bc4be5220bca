"""On FreePBX and Issabel it writes only to what is left to their users, and finds what escapes the pre-dial hook."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from coovox_billing.cli.main import main
from coovox_billing.errors import SetupError
from coovox_billing.pbx.check import check
from coovox_billing.pbx.dialplan_check import DIALPLAN_FILE, FREEPBX_FILE
from coovox_billing.pbx.freepbx import HOOK_CONTEXT, product_of
from coovox_billing.pbx.install import install, remove
from coovox_billing.pbx.parts import Item
from tests import freepbx_box
from tests.freepbx_box import FREEPBX_16, FREEPBX_17, ISSABEL, Box
from tests.pbx.test_install import bad, contents, logs_of, running, shown

DOCUMENTATION = (Path(__file__).parents[2] / "docs/freepbx.md").read_text()
EVERY_BOX = pytest.mark.parametrize(
    "box", [FREEPBX_16, FREEPBX_17, ISSABEL], ids=["FreePBX 16", "FreePBX 17", "Issabel"]
)
GENERATED = ("extensions.conf", "extensions_additional.conf", "manager.conf")
OURS = ("extensions_coovox_billing", "extensions_coovox_billing_freepbx", "extensions_coovox_billing_hook")
CUSTOM = "; This file is yours.\n"
OWN_LINES = "".join(f"#include {name}.conf ; CooVox Billing\n" for name in OURS)
CALLS_BILLING = """ same => n,Gosub(coovox-billing-hook,s,1)
 same => n,GotoIf($["${COOVOX_GO}" = "1"]?macro-dialout-trunk,coovox-billing-trunk,1)
"""
NEWER_DIAL = """[trunk-dial-with-exten]
exten => _.,1,Dial(${OUT_${DIAL_TRUNK}}/${OUTNUM},9,${DIAL_TRUNK_OPTIONS}D(1)b(func-apply-sipheaders^s^1))
[macro-dialout-trunk]
"""
OWN_HOOK = "[macro-dialout-trunk-predial-hook]\nexten => s,1,Set(OUTNUM=${FILTER(0-9,${OUTNUM})})\n"


def a_box(path: Path, box: Box = FREEPBX_17) -> Path:
    path.mkdir()
    for name, text in {**freepbx_box.dialplan(box), **freepbx_box.manager_and_cel(box, 5038)}.items():
        (path / name).write_text(text)
    logs_of(path).mkdir()
    (path / "asterisk.conf").write_text(f"[directories]\nastlogdir => {logs_of(path)}\n")
    return path


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    return a_box(tmp_path / "asterisk")


def checked(etc: Path) -> list[Item]:
    """What `pbx check` finds where the running Asterisk has our hook."""
    return check(etc, running_hooked)


def running_hooked(command: str) -> str:
    if command == f"dialplan show {HOOK_CONTEXT}":
        return "'s' => 1. Gosub(coovox-billing-hook,s,1)\n"
    if command.startswith("dialplan show coovox-billing"):
        return shown(command.removeprefix("dialplan show "), files=(DIALPLAN_FILE, FREEPBX_FILE))
    return running(command)


def faults(etc: Path) -> dict[str, str]:
    return {item.message: item.what_to_do for item in checked(etc) if not item.ok}


@EVERY_BOX
def test_it_writes_only_to_what_is_left_to_its_users(tmp_path: Path, box: Box) -> None:
    etc = a_box(tmp_path / "asterisk", box)
    before = contents(etc)
    assert bad(install(etc)) == []
    after = contents(etc)
    changed = {Path(name).name for name in before if before[name] != after[name]}
    cel = {"cel_custom_post.conf"} if box.has_notes else {"cel.conf"}
    assert changed == {"extensions_custom.conf", "manager_custom.conf", "cel_custom.conf"} | cel
    assert (etc / "extensions_custom.conf").read_text() == CUSTOM + OWN_LINES
    assert faults(etc) == {}


@EVERY_BOX
def test_it_gives_back_what_was_there_before(tmp_path: Path, box: Box) -> None:
    etc = a_box(tmp_path / "asterisk", box)
    before = contents(etc)
    install(etc)
    assert bad(remove(etc)) == []
    assert contents(etc) == before


def test_it_changes_nothing_the_second_time(etc: Path) -> None:
    install(etc)
    before = contents(etc)
    assert all("already" in item.message for item in install(etc))
    assert contents(etc) == before


def test_it_stays_when_the_product_writes_its_files_anew(etc: Path, tmp_path: Path) -> None:
    install(etc)
    for name in GENERATED:
        (etc / name).write_text((a_box(tmp_path / f"new-{name}") / name).read_text())
    assert faults(etc) == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_it_keeps_owner_and_mode_and_gives_ours_to_the_same(etc: Path) -> None:
    for path in etc.iterdir():
        os.chown(path, 4321, 1234)
        path.chmod(0o664)
    install(etc)
    assert {(path.stat().st_uid, path.stat().st_gid) for path in etc.iterdir()} == {(4321, 1234)}
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in etc.iterdir()}
    assert modes.pop("manager_coovox_billing.conf") == 0o640
    assert set(modes.values()) == {0o664}


@pytest.mark.parametrize(("box", "product"), [(FREEPBX_16, "FreePBX"), (FREEPBX_17, "FreePBX"), (ISSABEL, "Issabel")])
def test_it_knows_the_product(tmp_path: Path, box: Box, product: str) -> None:
    assert product_of(a_box(tmp_path / "asterisk", box)) == product


def test_it_takes_an_asterisk_that_only_has_a_file_of_that_name_for_a_plain_one(etc: Path) -> None:
    (etc / "extensions.conf").write_text("[general]\n#include extensions_custom.conf\n")
    assert product_of(etc) is None
    install(etc)
    assert (etc / "extensions.conf").read_text().endswith("#include extensions_coovox_billing.conf ; CooVox Billing\n")
    assert (etc / "extensions_custom.conf").read_text() == CUSTOM


def test_it_refuses_a_file_that_is_written_anew_and_leaves_none_to_its_users(etc: Path) -> None:
    text = (etc / "extensions.conf").read_text()
    (etc / "extensions.conf").write_text(text.replace("#include extensions_custom.conf\n", ""))
    before = contents(etc)
    with pytest.raises(
        SetupError, match=r"FreePBX writes extensions\.conf anew and includes no extensions_custom\.conf"
    ):
        install(etc)
    assert contents(etc) == before


def test_it_takes_out_the_lines_of_an_installation_from_before_the_product_came(etc: Path) -> None:
    line = "#include extensions_coovox_billing.conf ; CooVox Billing\n"
    host = etc / "extensions.conf"
    text = host.read_text()
    host.write_text(text + line)
    install(etc)
    assert line in (etc / "extensions_custom.conf").read_text(), "the other is gone with the next Apply Config"
    assert bad(remove(etc)) == []
    assert host.read_text() == text


def test_it_prints_what_the_documentation_shows(etc: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--data", str(tmp_path / "data"), "pbx", "install", "--etc", str(etc)]) == 0
    said = capsys.readouterr().out.replace(str(etc), "/etc/asterisk")
    shown = [line.strip() for line in DOCUMENTATION.splitlines() if line.strip().startswith("ok  ")]
    assert len(shown) == 2
    assert all(line in said for line in shown)


# An administrator's own hook.


def test_it_is_documented_what_belongs_into_an_own_hook() -> None:
    assert all(f"    {line.strip()}" in DOCUMENTATION for line in CALLS_BILLING.splitlines())


@pytest.mark.parametrize("end", [" same => n,MacroExit()\n", " same => n,Return()\n", ""])
def test_it_leaves_an_own_hook_alone_and_says_what_to_write_into_it(etc: Path, end: str) -> None:
    (etc / "extensions_custom.conf").write_text(OWN_HOOK + end)
    (item,) = (item for item in install(etc) if not item.ok)
    assert "extensions_custom.conf line 2 is your own pre-dial hook" in item.message
    place = f"before extensions_custom.conf line 3 ({end.strip()[10:]})" if end else "at the end of [macro-dialout"
    assert place in item.what_to_do
    for line in CALLS_BILLING.splitlines():
        assert line.strip() in item.what_to_do
    assert (etc / "extensions_custom.conf").read_text().startswith(OWN_HOOK + end)
    assert not (etc / "extensions_coovox_billing_hook.conf").exists()
    assert item.message in faults(etc)


def test_it_is_content_with_an_own_hook_that_calls_billing(etc: Path) -> None:
    (etc / "extensions_custom.conf").write_text(OWN_HOOK + CALLS_BILLING + " same => n,MacroExit()\n")
    assert bad(install(etc)) == []
    assert faults(etc) == {}
    assert not (etc / "extensions_coovox_billing_hook.conf").exists()


def test_an_own_hook_that_calls_billing_goes_on_with_their_dial_when_billing_is_gone(etc: Path) -> None:
    (etc / "extensions_custom.conf").write_text(OWN_HOOK + CALLS_BILLING + " same => n,MacroExit()\n")
    install(etc)
    items = remove(etc, let_calls_pass=True)
    assert bad(items) == []
    assert any("still calls billing: its calls pass" in item.message for item in items)
    left = (etc / "extensions_coovox_billing.conf").read_text()
    assert "[coovox-billing-hook]" in left
    assert "AGI(" not in left
    assert not (etc / "extensions_coovox_billing_freepbx.conf").exists()


def test_nothing_of_ours_is_left_when_billing_is_gone_and_the_hook_was_ours(etc: Path) -> None:
    before = (etc / "extensions_custom.conf").read_bytes()
    install(etc)
    assert bad(remove(etc, let_calls_pass=True)) == []
    assert (etc / "extensions_custom.conf").read_bytes() == before
    assert not list(etc.glob("*coovox*"))


def test_it_takes_its_own_hook_away_where_an_own_one_calls_billing_by_now(etc: Path) -> None:
    install(etc)
    custom = etc / "extensions_custom.conf"
    custom.write_text(OWN_HOOK + CALLS_BILLING + custom.read_text())
    assert bad(install(etc)) == []
    assert not (etc / "extensions_coovox_billing_hook.conf").exists()
    assert "extensions_coovox_billing_hook" not in custom.read_text()
    assert faults(etc) == {}


@pytest.mark.parametrize(
    "hook",
    [
        OWN_HOOK + " same => n,MacroExit()\n" + CALLS_BILLING,
        OWN_HOOK + " same => n,Goto(elsewhere,s,1)\n" + CALLS_BILLING,
        OWN_HOOK + CALLS_BILLING.splitlines(keepends=True)[0],
        OWN_HOOK + ";" + CALLS_BILLING,
    ],
    ids=["ends before", "goes elsewhere", "one line of two", "a comment"],
)
def test_it_finds_an_own_hook_that_calls_billing_too_late_or_not_wholly(etc: Path, hook: str) -> None:
    install(etc)
    custom = etc / "extensions_custom.conf"
    custom.write_text(hook + custom.read_text())
    assert any("is your own pre-dial hook" in message for message in faults(etc))


def test_it_finds_an_own_hook_that_asterisk_does_not_take(etc: Path) -> None:
    install(etc)
    with (etc / "extensions_custom.conf").open("a") as file:
        file.write(OWN_HOOK)
    assert any("is a second pre-dial hook, which Asterisk does not take" in message for message in faults(etc))


def test_it_names_an_own_hook_that_still_calls_billing(etc: Path) -> None:
    custom = etc / "extensions_custom.conf"
    custom.write_text(OWN_HOOK + CALLS_BILLING)
    install(etc)
    (item,) = (item for item in remove(etc) if not item.ok)
    assert "extensions_custom.conf line 3, in your own pre-dial hook, still calls billing" in item.message
    assert custom.read_text() == OWN_HOOK + CALLS_BILLING


# What escapes.


def test_it_finds_the_hook_missing(etc: Path) -> None:
    install(etc)
    custom = etc / "extensions_custom.conf"
    custom.write_text(custom.read_text().replace("#include extensions_coovox_billing_hook", ";"))
    cure = faults(etc)["the pre-dial hook does not call billing: nothing is billed"]
    assert cure == f"run: coovox-billing pbx install --etc {etc}"


def test_it_finds_a_hook_that_the_running_asterisk_has_not_read(etc: Path) -> None:
    install(etc)
    items = check(etc, lambda command: running_hooked(command).replace("coovox-billing-hook", "other"))
    assert bad(items) == ["hook loaded"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Gosub(macro-dialout-trunk-predial-hook,s,1())", "NoOp()", "does not call its pre-dial hook"),
        ("include => macro-dialout-trunk-custom\n", "", "does not include macro-dialout-trunk-custom"),
        ("exten => s-BUSY,1,", f"{NEWER_DIAL}exten => s-BUSY,1,", "adds D(1) to a trunk's Dial"),
        ("b(func-apply", "m(jazz)b(func-apply", "adds m(jazz) to a trunk's Dial, which billing leaves out"),
        ("macro-dialout-trunk,s,1(3,", "macro-dialout-enum,s,1(3,", "dials by ENUM, which is not billed"),
        ("TRUNK_OPTIONS = T\n", "TRUNK_OPTIONS = TA(beep)\n", "the Dial option A escapes billing"),
    ],
    ids=["no hook", "no custom context", "a newer Dial", "other options", "enum", "general options"],
)
def test_it_finds_what_of_the_product_billing_is_not_in(etc: Path, old: str, new: str, message: str) -> None:
    install(etc)
    generated = etc / "extensions_additional.conf"
    text = generated.read_text()
    assert old in text
    generated.write_text(text.replace(old, new))
    assert any(message in found for found in faults(etc)), faults(etc)


def test_it_passes_a_macro_that_is_called_at_the_answer(tmp_path: Path) -> None:
    etc = a_box(tmp_path / "asterisk", FREEPBX_16)
    install(etc)
    generated = etc / "extensions_additional.conf"
    generated.write_text(generated.read_text().replace("TRUNK_OPTIONS = T\n", "TRUNK_OPTIONS = TM(mine)\n"))
    assert faults(etc) == {}


@pytest.mark.parametrize(
    "dial", ["PJSIP/${EXTEN}@trunk2", "SIP/carrier/${EXTEN:1}"], ids=["PJSIP by its suffix", "SIP by its name"]
)
def test_it_names_an_own_context_that_dials_a_trunk_past_billing(etc: Path, dial: str) -> None:
    install(etc)
    with (etc / "extensions_custom.conf").open("a") as file:
        file.write(f"[from-internal-custom]\nexten => _1X.,1,Dial({dial},30)\n")
    (message,) = faults(etc)
    assert message.startswith("extensions_custom.conf line 6 (") and " dials " in message
    assert "without billing" in message


def test_it_has_nothing_to_complain_of_before_there_is_an_outbound_route(etc: Path) -> None:
    generated = etc / "extensions_additional.conf"
    generated.write_text("[globals]\n#include globals_custom.conf\n")
    install(etc)
    assert faults(etc) == {}


def test_it_says_in_which_file_of_the_product_the_agis_address_stands(etc: Path) -> None:
    install(etc)
    items = check(etc, None, "agi://127.0.0.1:9999")
    assert "in globals_custom.conf" in next(item.what_to_do for item in items if item.name == "AGI address")
    (etc / "globals_custom.conf").write_text("COOVOX_AGI=agi://127.0.0.1:9999\n")
    assert "AGI address" not in bad(check(etc, None, "agi://127.0.0.1:9999"))
