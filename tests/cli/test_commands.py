"""What a person can do at a terminal, and what a terminal says to bad input."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coovox_billing.config import load
from coovox_billing.errors import SetupError
from tests.cli.conftest import GUIDE_RATE, HEADER, Terminal


def test_it_lists_an_extension_with_its_money(reception: Terminal) -> None:
    (row,) = reception.read("extension", "list")
    expected = {
        "number": "100", "name": "Reception", "billing": True, "payment_type": "prepaid", "status": "unlocked",
        "total_recharges": "10.0000", "balance": "10.0000", "credit": "0.0000", "held": "0.0000",
    }  # fmt: skip
    assert {key: row[key] for key in expected} == expected


def test_it_prints_a_table_for_people(reception: Terminal) -> None:
    head, row = reception.do("extension", "list").splitlines()
    assert head.split()[:2] == ["Number", "Name"]
    assert row.split()[:3] == ["100", "Reception", "on"]


def test_it_says_what_to_do_where_nothing_is(terminal: Terminal) -> None:
    assert "extension add" in terminal.do("extension", "list")
    assert "rate import" in terminal.do("rate", "list")
    assert terminal.read("call", "list") == []


def test_it_changes_only_what_is_given(reception: Terminal) -> None:
    reception.do("extension", "set", "100", "--credit", "5", "--devices", "PJSIP/100 SIP/100")
    (row,) = reception.read("extension", "list")
    assert (row["credit"], row["devices"], row["name"], row["billing"]) == (
        "5.0000", ["PJSIP/100", "SIP/100"], "Reception", True,
    )  # fmt: skip


def test_it_restarts_total_recharges_with_the_payment_type(reception: Terminal) -> None:
    reception.do("extension", "set", "100", "--payment-type", "postpaid")
    reception.do("recharge", "100", "2.5")
    (row,) = reception.read("extension", "list")
    assert (row["total_recharges"], row["balance"]) == ("2.5000", "12.5000")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("recharge", "100", "abc"), "12.50"),
        (("recharge", "100", "0"), "above 0"),
        (("recharge", "100", "-5"), "above 0"),
        (("recharge", "100", "1.00001"), "four decimals"),
        (("recharge", "100", "9999999999"), "too large"),
        (("recharge", "100", "1.1234567"), "six decimals"),
        (("recharge", "999", "1"), "extension list"),
        (("extension", "add", "100"), "there already"),
        (("extension", "add", "1 0"), "not an extension"),
        (("extension", "set", "100"), "give an option"),
        (("extension", "set", "999", "--billing", "on"), "no extension"),
        (("extension", "set", "100", "--credit", "-1"), "negative"),
        (("extension", "set", "100", "--devices", "phone"), "PJSIP/100"),
        (("extension", "set", "100", "--name", "a\x00b"), "printable"),
        (("setting", "set", "plus_prefix", "x"), "digits"),
        (("setting", "set", "longest_call_seconds", "0"), "1 to 86400"),
        (("setting", "set", "time_zone", "Mars/Base"), "Europe/Madrid"),
        (("setting", "set", "emergency_numbers", " "), "cannot be empty"),
        (("setting", "get", "nonsense"), "setting list"),
        (("setting", "get", "web_listen"), "/etc/coovox-billing.toml"),
        (("setting", "set", "ami", "off"), "into COOVOX_AMI"),
        (("pbx", "check", "--etc", ""), "--etc is empty"),
        (("pbx", "check", "--etc", "/no/such/dir"), "/no/such/dir is not a directory"),
        (("pbx", "files", "/no/such/dir"), "agi_listen is 127.0.0.1:4573, which no other machine can ask"),
        (("pbx", "files", "/no/such/dir", "--address", "nas"), "no IP address"),
        (("pbx", "remove", "--etc", "/no/such/dir"), "/no/such/dir is not a directory"),
        (("setting", "set", "calls_without_payer", "12345"), "no extension"),
        (("rate", "import", "/nowhere.csv"), "cannot read"),
        (("quote", "--extension", "100"), "--number"),
        (("quote", "--extension", "999", "--number", "9"), "no extension"),
        (("quote", "--extension", "100", "--number", "9", "--at", "noon"), "2026-03-01T21:59:50"),
        (("quote", "--extension", "100", "--number", "9", "--seconds", "-1"), "whole number"),
        (("call", "list", "--limit", "many"), "whole number"),
        (("call", "list", "--limit", "9" * 5000), "whole number"),
        (("quote", "--extension", "100", "--number", "9", "--at", "0001-01-01T00:00:00+14:00"), "years"),
        (("recharge", "\udcff", "1"), "no extension"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_it_refuses_bad_input_in_a_line_and_changes_nothing(
    reception: Terminal, arguments: tuple[str, ...], word: str
) -> None:
    before = (
        reception.read("extension", "list"),
        reception.read("setting", "list"),
        reception.read("rate", "list"),
    )
    assert word in reception.refused(*arguments)
    after = (
        reception.read("extension", "list"),
        reception.read("setting", "list"),
        reception.read("rate", "list"),
    )
    assert after == before


@pytest.mark.parametrize(
    "arguments", [(), ("dance",), ("recharge", "100"), ("extension", "set", "100", "--billing", "maybe")]
)
def test_it_ends_with_2_on_wrong_usage(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    assert terminal.run(*arguments).status == 2


def test_it_quotes_the_guides_rate(reception: Terminal) -> None:
    answer = reception.read("quote", "--extension", "100", "--number", "988360046", "--seconds", "238")
    assert (answer["cost"], answer["units"], answer["verdict"], answer["reason"]) == ("0.1800", 4, "pass", "")
    assert answer["rate"] == {"id": 1, "prefix": "9", "remark": "City"}
    assert answer["affordable_seconds"] == 14_400
    assert any("wins" in line for line in answer["why"])


def test_it_quotes_at_site_time(reception: Terminal) -> None:
    night = "1,Night,9,9,0,0,0.01,60,22:00:00,05:59:59,,all"
    reception.do("rate", "import", reception.file("night.csv", f"{HEADER}\n{night}\n"))
    reception.do("setting", "set", "time_zone", "Europe/Madrid")
    for at, remark in (
        ("2026-03-01T21:59:59", "City"),
        ("2026-03-01T22:00:00", "Night"),
        ("2026-03-01T21:00:00+00:00", "Night"),
    ):
        answer = reception.read("quote", "--extension", "100", "--number", "988360046", "--at", at)
        assert answer["rate"]["remark"] == remark, at


@pytest.mark.parametrize(
    ("number", "verdict", "reason"),
    [("112", "pass", "emergency"), ("5551234", "refused", "no-rate"), ("9abc", "refused", "bad-number")],
)
def test_it_quotes_without_a_rate(reception: Terminal, number: str, verdict: str, reason: str) -> None:
    answer = reception.read("quote", "--extension", "100", "--number", number)
    assert (answer["rate"], answer["cost"], answer["verdict"], answer["reason"]) == (
        None,
        "0.0000",
        verdict,
        reason,
    )


def test_it_quotes_a_file_of_calls(reception: Terminal) -> None:
    calls = "extension,number,at,seconds\n100,988360046,2026-03-01T10:00:00,39\n100,112,2026-03-01T10:00:00,60\n"
    rows = reception.read("quote", "--calls", reception.file("calls.csv", calls))
    assert [(row["cost"], row["reason"]) for row in rows] == [("0.1000", ""), ("0.0000", "emergency")]


def test_it_names_every_bad_row_of_a_file_of_calls(reception: Terminal) -> None:
    calls = "extension,number,at,seconds\n999,9,2026-03-01T10:00:00,39\n100,9,never,60\n100,9,2026-03-01T10:00:00,60\n"
    said = reception.run("quote", "--calls", reception.file("calls.csv", calls))
    assert said.status == 1
    assert [line.partition(":")[0] for line in said.err.splitlines()] == [
        "line 2",
        "line 3",
        "nothing was quoted",
    ]


def test_it_imports_all_rates_or_none(reception: Terminal) -> None:
    before = reception.read("rate", "list")
    rows = ["1,ok,8,0,0,0,1,60,,,,all", "1,bad,x,0,0,0,1,60,,,,all", "1,bad,7,0,0,0,1,0,,,,", "1,short"]
    said = reception.run("rate", "import", reception.file("bad.csv", "\n".join([HEADER, *rows])))
    assert said.status == 1
    assert [line.partition(":")[0] for line in said.err.splitlines()[:-1]] == ["line 3", "line 4", "line 5"]
    assert reception.read("rate", "list") == before


def test_it_changes_nothing_when_a_file_is_imported_twice(reception: Terminal) -> None:
    out = reception.do("rate", "import", reception.file("again.csv", f"{HEADER}\n{GUIDE_RATE}\n"))
    assert out == "0 added, 0 changed, 1 unchanged, 0 removed\n"


def test_it_changes_a_price_and_keeps_the_rates_age(reception: Terminal) -> None:
    reception.do("rate", "import", reception.file("new.csv", f"{HEADER}\n{GUIDE_RATE.replace('0.02', '0.03')}\n"))
    (rate,) = reception.read("rate", "list")
    assert (rate["id"], rate["rate"]) == (1, "0.0300")


def test_it_removes_other_rates_only_when_told_to(reception: Terminal) -> None:
    other = reception.file("other.csv", f"{HEADER}\n1,Other,8,0,0,0,1,60,,,,100 101\n")
    reception.do("rate", "import", other)
    assert [rate["remark"] for rate in reception.read("rate", "list")] == ["City", "Other"]
    reception.do("rate", "import", other, "--replace")
    assert [rate["remark"] for rate in reception.read("rate", "list")] == ["Other"]


def test_it_exports_what_it_imports(reception: Terminal) -> None:
    target = reception.folder / "out.csv"
    reception.do("rate", "export", str(target))
    assert target.read_text() == f"{HEADER}\n1,City,9,9,0.1000,60,0.0200,55,00:00:00,23:59:59,,all\n"
    assert reception.do("rate", "import", str(target)).startswith("0 added, 0 changed, 1 unchanged")


def test_it_never_exports_a_formula(reception: Terminal) -> None:
    reception.do("rate", "import", reception.file("f.csv", f"{HEADER}\n1,=1+1,7,0,0,0,1,60,,,,all\n"))
    exported = reception.do("rate", "export", "-")
    assert "1,'=1+1,7" in exported
    assert reception.do("rate", "import", reception.file("f2.csv", exported)).startswith(
        "0 added, 0 changed, 2 unchanged"
    )


def test_it_tells_of_extensions_that_nobody_has(reception: Terminal) -> None:
    said = reception.run("rate", "import", reception.file("r.csv", f"{HEADER}\n1,x,7,0,0,0,1,60,,,,100 777\n"))
    assert (said.status, "777" in said.err, "100" in said.err) == (0, True, False)


def test_it_sets_and_gets_a_setting(terminal: Terminal) -> None:
    terminal.do("setting", "set", "emergency_numbers", "112, 061")
    assert terminal.do("setting", "get", "emergency_numbers") == "112 061\n"
    assert terminal.do("setting", "get", "when_no_rate") == "refuse\n"


def test_it_finds_the_books_sound(reception: Terminal) -> None:
    assert reception.do("audit").startswith("sound")


def test_it_diagnoses_what_does_not_run(reception: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COOVOX_AGI_LISTEN", "127.0.0.1:1")
    monkeypatch.setenv("COOVOX_WEB_LISTEN", "127.0.0.1:1")
    said = reception.run("doctor", "--json")
    assert said.status == 1
    assert '"finding": "silent on 127.0.0.1:1"' in said.out


def test_it_says_what_to_do_about_a_data_directory_that_cannot_be(terminal: Terminal) -> None:
    blocked = terminal.file("blocked", "")
    said = terminal.run("--data", f"{blocked}/data", "extension", "list")
    assert (said.status, "--data" in said.err) == (1, True)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("nonsense = 'x'", "no setting"),
        ("agi_listen = 'here'", "HOST:PORT"),
        ("data = 5", "quotes"),
        ("= =", "TOML"),
    ],
)
def test_it_names_what_is_wrong_in_the_settings_file(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, text: str, word: str
) -> None:
    monkeypatch.setenv("COOVOX_CONFIG", terminal.file("coovox.toml", text))
    assert word in terminal.refused("extension", "list")


def test_it_takes_the_environment_over_the_file_and_data_over_both(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = terminal.file("coovox.toml", "data = '/file'\nagi_listen = '127.0.0.1:1111'\nweb_prefix = 'billing/'")
    environment = {"COOVOX_CONFIG": path, "COOVOX_AGI_LISTEN": "[::1]:2222"}
    config = load(None, environment)
    assert (str(config.data), str(config.agi_listen), config.web_prefix) == (
        "/file",
        "[::1]:2222",
        "/billing",
    )
    assert str(load("/option", environment).data) == "/option"


def test_it_says_that_it_makes_a_new_site(terminal: Terminal) -> None:
    said = terminal.run("--data", str(terminal.folder / "new"), "extension", "list")
    assert (said.status, "a new site is made" in said.err) == (0, True)
    again = terminal.run("--data", str(terminal.folder / "new"), "extension", "list")
    assert again.err == ""


def test_it_makes_no_site_at_the_default_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from coovox_billing import config
    from coovox_billing.cli.main import main

    monkeypatch.delenv("COOVOX_DATA", raising=False)
    setting = config.FILE_SETTINGS[0]
    nowhere = config.FileSetting(setting.name, setting.variable, "/nonexistent/coovox", setting.why)
    monkeypatch.setattr(config, "FILE_SETTINGS", (nowhere, *config.FILE_SETTINGS[1:]))
    assert main(["extension", "list"]) == 1
    assert "--data" in capsys.readouterr().err


def test_it_says_how_to_read_settings_that_are_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(path: Path, **_: str) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(Path, "read_text", forbid)
    with pytest.raises(SetupError, match=r"the settings file /etc/x\.toml is not for this user: use sudo"):
        load(None, {"COOVOX_CONFIG": "/etc/x.toml"})


def test_it_takes_an_end_without_seconds_to_the_end_of_its_minute(reception: Terminal) -> None:
    row = "1,Day,7,0,0,0,1,60,08:00,17:59,,all"
    reception.do("rate", "import", reception.file("day.csv", f"{HEADER}\n{row}\n"))
    rate = reception.read("rate", "list")[-1]
    assert (rate["start_time"], rate["end_time"]) == ("08:00:00", "17:59:59")


def test_it_tells_of_rates_that_never_win(reception: Terminal) -> None:
    rows = "1,First,7,0,0,0,1,60,,,,all\n1,Second,7,0,0,0,2,60,,,,all\n0,Off,7,0,0,0,2,60,,,,all"
    said = reception.run("rate", "import", reception.file("twice.csv", f"{HEADER}\n{rows}\n"))
    assert (said.status, "note: 1 of" in said.err) == (0, True)


def test_it_quotes_now_and_a_minute_where_a_file_leaves_them_out(reception: Terminal) -> None:
    (row,) = reception.read(
        "quote", "--calls", reception.file("c.csv", "extension,number,at,seconds\n100,988360046,,\n")
    )
    assert (row["seconds"], row["cost"]) == (60, "0.1000")


def test_it_names_a_home_that_is_not_there() -> None:
    with pytest.raises(SetupError, match="no such user's home"):
        load("~nobody-has-this-name/data", {})


def test_the_doctor_says_where_asterisks_manager_does_not_let_billing_in(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COOVOX_AMI", "billing:secret@127.0.0.1:1")
    rows = json.loads(terminal.run("doctor", "--json").out)
    (row,) = [row for row in rows if row["name"] == "manager"]
    assert (row["ok"], "127.0.0.1:1" in row["finding"], "setting ami" in row["what_to_do"]) == (False, True, True)
    assert "secret" not in str(rows)


def test_the_doctor_says_it_once(terminal: Terminal) -> None:
    command = [sys.executable, "-m", "coovox_billing", "--data", str(terminal.folder / "data"), "doctor"]
    environment = os.environ | {"COOVOX_AMI": "billing:secret@127.0.0.1:1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stderr, done.stdout.count("nothing answers at 127.0.0.1:1\n")) == ("", 1)


@pytest.mark.parametrize(
    ("ami", "is_pbx_here", "ok", "finding"),
    [
        ("off", True, True, "none, as the setting ami says: "),
        ("", False, True, "none, and no "),
        ("", True, False, "none: "),
    ],
)
def test_the_doctor_says_what_has_no_effect_without_a_manager(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, ami: str, is_pbx_here: bool, ok: bool, finding: str
) -> None:
    from coovox_billing.cli import health, pbx

    etc = terminal.folder / "etc"
    if is_pbx_here:
        etc.mkdir()
    monkeypatch.setattr(health, "DEFAULT_ETC", etc)
    monkeypatch.setattr(pbx, "DEFAULT_ETC", etc)
    monkeypatch.setenv("COOVOX_AMI", ami)
    (row,) = [row for row in json.loads(terminal.run("doctor", "--json").out) if row["name"] == "manager"]
    assert (row["ok"], row["finding"].startswith(finding)) == (ok, True)
    assert all(word in row["finding"] for word in ("warning", "grace", "recharge does not lengthen", "sync"))


def test_it_says_that_billing_is_not_active(reception: Terminal) -> None:
    quote = ("quote", "--extension", "100", "--number", "988360046")
    assert "not active" not in reception.do(*quote)
    reception.do("activation", "off")
    assert reception.do(*quote).splitlines()[-1].startswith("Billing is not active")
    calls = reception.file("c.csv", "extension,number,at,seconds\n100,988360046,,\n")
    assert reception.do("quote", "--calls", calls).splitlines()[-1].startswith("Billing is not active")
    assert reception.read(*quote)["verdict"] == "pass"
    said = reception.run("doctor").out
    assert "FAULT  billing: not active, calls pass unbilled\n       Run: coovox-billing activation on" in said
    reception.do("activation", "on")
    assert "ok     billing: active" in reception.run("doctor").out


def test_it_says_what_is_next_after_an_installation(terminal: Terminal) -> None:
    etc = terminal.folder / "my etc"
    etc.mkdir()
    (etc / "extensions.conf").write_text("[general]\n")
    option = ("--etc", str(etc))
    assert "reload" not in terminal.do("pbx", "remove", *option)
    last = terminal.do("pbx", "install", *option).splitlines()[-1]
    assert last == f"Next: coovox-billing pbx check --etc '{etc}'"
    assert "dialplan reload" in terminal.do("pbx", "remove", *option)
