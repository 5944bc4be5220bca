"""It reads a dialplan as Asterisk does, and names the routes that escape billing."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.pbx.dialplan_check import (
    RouteProblem,
    active_lines,
    billed_routes,
    bypass_problems,
    include_problems,
    misspelled_calls,
    read_config,
)
from coovox_billing.pbx.outside_dials import (
    direct_dials,
    matches,
    places,
    twice_named,
    unbilled_dials,
    unreached_emergencies,
)

BILLED = "exten => _9X.,1,Gosub(coovox-billing-dial,s,1(${EXTEN},PJSIP/${EXTEN:1}@trunk,30,%s,trunk))"


def dialplan(etc: Path, *lines: str, name: str = "extensions.conf") -> Path:
    (etc / name).parent.mkdir(exist_ok=True)
    (etc / name).write_text("".join(f"{line}\n" for line in ("[outbound]", *lines)))
    return etc


def problems(etc: Path) -> list[RouteProblem]:
    config = read_config(etc, "extensions.conf")
    routes = billed_routes(config)
    return [*bypass_problems(routes), *direct_dials(config, etc, routes)]


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (b"a\n;b\n c ;d\n", ["a", "c"]),
        (b"a\\;b ;c\n", ["a;b"]),
        (b";-- a\nb\n--; c\nd\n", ["c", "d"]),
        (b"a ;-- b --; c\n", ["a  c"]),
        (b";-- a ;-- b --;\nc\n--;\nd\n", ["d"]),
        (b";--- a\nb\n", ["b"]),
        (b";---------;\nb\n", ["b"]),
        (b"a --; b\nc\n;-- d\ne\n", ["a --; b", "e"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\0b\nc", ["a", "c"]),
        (b"a" * 8190 + b"\nb\n", ["a" * 8190, "b"]),
        (b"a" * 8191 + b"\nb\n", ["b"]),
        (b"caf\xe9\n", ["caf\\xe9"]),
    ],
)
def test_it_takes_in_the_lines_that_asterisk_takes_in(data: bytes, texts: list[str]) -> None:
    assert [text for _, text in active_lines(data)] == texts


@given(st.binary() | st.text(alphabet=";-\\\n a#").map(str.encode))
def test_it_reads_any_bytes(data: bytes) -> None:
    assert all(1 <= number <= data.count(b"\n") + 1 and text for number, text in active_lines(data))


@pytest.mark.parametrize(
    "include",
    [
        "#include more.conf",
        '#include "more.conf"',
        "#include <more.conf>",
        "#INCLUDE   more.conf ; the rest",
        "#tryinclude more.conf",
        "#include mo*.conf",
        "#include {other,more}.conf",
        "#include ./more.conf",
    ],
)
def test_it_follows_an_include(tmp_path: Path, include: str) -> None:
    dialplan(tmp_path, include)
    dialplan(tmp_path, BILLED % "", name="more.conf")
    assert [route.line.where for route in billed_routes(read_config(tmp_path, "extensions.conf"))] == [
        "more.conf line 2"
    ]


@pytest.mark.parametrize("include", [";#include more.conf", ";-- x\n#include more.conf\n--;", "#includemore.conf"])
def test_it_does_not_follow_an_include_that_does_not_count(tmp_path: Path, include: str) -> None:
    dialplan(tmp_path, include)
    dialplan(tmp_path, BILLED % "", name="more.conf")
    assert billed_routes(read_config(tmp_path, "extensions.conf")) == []


def test_it_follows_an_include_by_its_whole_path(tmp_path: Path) -> None:
    dialplan(tmp_path, f"#include {tmp_path}/more.conf")
    dialplan(tmp_path, BILLED % "", name="more.conf")
    assert len(billed_routes(read_config(tmp_path, "extensions.conf"))) == 1


def test_it_names_included_files_from_the_top_directory_even_in_a_lower_one(tmp_path: Path) -> None:
    dialplan(tmp_path, "#include sub/one.conf")
    dialplan(tmp_path, "#include sub/two.conf", name="sub/one.conf")
    dialplan(tmp_path, BILLED % "", name="sub/two.conf")
    assert billed_routes(read_config(tmp_path, "extensions.conf"))[0].line.where == "sub/two.conf line 2"


def test_it_stops_at_includes_in_a_circle_and_names_them(tmp_path: Path) -> None:
    dialplan(tmp_path, "#include more.conf", BILLED % "")
    dialplan(tmp_path, "#include extensions.conf", name="more.conf")
    config = read_config(tmp_path, "extensions.conf")
    assert len(billed_routes(config)) == 1
    assert [problem.line.where for problem in include_problems(config)] == ["more.conf line 2"]


def test_it_reads_a_file_once_that_is_included_twice(tmp_path: Path) -> None:
    dialplan(tmp_path, "#include more.conf", "#include more.conf")
    dialplan(tmp_path, BILLED % "", name="more.conf")
    config = read_config(tmp_path, "extensions.conf")
    assert len(billed_routes(config)) == 1
    assert include_problems(config) == []


@pytest.mark.parametrize(
    ("include", "count"), [("#include gone.conf", 1), ("#include gone*", 1), ("#tryinclude gone.conf", 0)]
)
def test_it_names_an_include_that_finds_nothing_unless_it_may(tmp_path: Path, include: str, count: int) -> None:
    config = read_config(dialplan(tmp_path, include), "extensions.conf")
    assert len(include_problems(config)) == count


def test_it_lists_what_a_program_makes_instead_of_running_it(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    config = read_config(dialplan(tmp_path, f"#exec /bin/touch {ran}"), "extensions.conf")
    assert [line.number for line in config.programs] == [2]
    assert not ran.exists()


def test_it_takes_a_missing_file_for_an_empty_one(tmp_path: Path) -> None:
    assert read_config(tmp_path, "extensions.conf").lines == []


@pytest.mark.parametrize("options", ["G(joined^s^1)", "tM(screen)", "A(hello)", "p", "P(x)", "G(${PLACE})"])
def test_it_names_a_billed_route_whose_options_escape_billing(tmp_path: Path, options: str) -> None:
    found = problems(dialplan(tmp_path, BILLED % options))
    assert [problem.line.number for problem in found] == [2]
    assert "extensions.conf line 2: the Dial option" in found[0].message


@pytest.mark.parametrize("options", ["", "tTg", "U(mine^a,b)L(60000)", "b(pre^s^1(${X}))", "${OPTIONS}", "${A}${B}g"])
def test_it_lets_a_billed_route_pass_whose_options_do_not(tmp_path: Path, options: str) -> None:
    assert problems(dialplan(tmp_path, BILLED % options)) == []


def test_it_names_options_that_cannot_be_read(tmp_path: Path) -> None:
    found = problems(dialplan(tmp_path, BILLED % "tT3"))
    assert "'3'" in found[0].message


def test_it_finds_escaping_options_in_a_global_variable(tmp_path: Path) -> None:
    dialplan(tmp_path, BILLED % "${OUT_OPTIONS}", "[globals]", "OUT_OPTIONS=tp", "[unused]")
    assert ["option p" in problem.message for problem in problems(tmp_path)] == [True]


@pytest.mark.parametrize(
    "call",
    [
        "same => n,Gosub(coovox-billing-dial,s,1(9,PJSIP/1@trunk,30,p,trunk))",
        "same => n(out),ExecIf($[${X} > 1]?Gosub(coovox-billing-dial,s,1(9,PJSIP/1@trunk,30,p,trunk)))",
        "same => n,GosubIf($[${X} > 1]?coovox-billing-dial,s,1(9,PJSIP/1@trunk,30,p,trunk):done,s,1)",
        "exten = 9,1,gosub( coovox-billing-dial , s , 1 ( 9,PJSIP/1@trunk,30,p ))",
    ],
)
def test_it_finds_billed_calls_however_they_are_written(tmp_path: Path, call: str) -> None:
    assert len(problems(dialplan(tmp_path, call))) == 1


@pytest.mark.parametrize(
    "call",
    [
        "exten => 9,1,Gosub(my-coovox-billing-dial,s,1(9,PJSIP/1@trunk,30,p,trunk))",
        ";exten => 9,1,Gosub(coovox-billing-dial,s,1(9,PJSIP/1@trunk,30,p,trunk))",
        "include => coovox-billing-dial",
    ],
)
def test_it_takes_nothing_else_for_a_billed_call(tmp_path: Path, call: str) -> None:
    assert billed_routes(read_config(dialplan(tmp_path, call), "extensions.conf")) == []


@pytest.mark.parametrize(
    "direct",
    [
        "exten => _8X.,1,Dial(PJSIP/${EXTEN:1}@trunk,30,tT)",
        "exten => _8X.,1,Dial(PJSIP/trunk/sip:${EXTEN:1}@10.0.0.1,30)",
        "exten => _8X.,1,Dial(pjsip/${EXTEN:1}@trunk)",
        "exten => _8X.,1,dial (PJSIP/100&PJSIP/${EXTEN:1}@trunk)",
        "same => n,ExecIf($[${A} > 1]?Dial(PJSIP/${FILTER(0-9,${EXTEN})}@trunk,30))",
        "same => n,RetryDial(wait,5,3,PJSIP/${EXTEN}@trunk,20)",
        "same => n,Dial(PJSIP/${EXTEN}@${THE_TRUNK},20)",
        "same => n,Dial(PJSIP/${EXTEN}@${GLOBAL(THE_TRUNK)},20)",
    ],
)
def test_it_names_a_dial_straight_to_a_billed_trunk(tmp_path: Path, direct: str) -> None:
    dialplan(tmp_path, BILLED % "", direct, "[globals]", "THE_TRUNK => trunk")
    found = problems(tmp_path)
    assert [problem.line.number for problem in found] == [3]
    assert "PJSIP/trunk without billing, which extensions.conf line 2 bills" in found[0].message


@pytest.mark.parametrize(
    "direct",
    [
        "exten => _1XX,1,Dial(PJSIP/${EXTEN},20)",
        "exten => _1XX,1,Dial(PJSIP/100,20)",
        "exten => _8X.,1,Dial(PJSIP/${EXTEN}@other,20)",
        "exten => _8X.,1,Dial(SIP/${EXTEN}@trunk,20)",
        "exten => _8X.,1,Dial(Local/${EXTEN}@trunk,20)",
        "exten => _8X.,1,Dial(${ARG1},20)",
        "exten => _8X.,1,Gosub(own-dial(PJSIP/${EXTEN}@trunk))",
        "exten => _8X.,1(dial),NoOp(PJSIP/${EXTEN}@trunk)",
        "; exten => _8X.,1,Dial(PJSIP/${EXTEN}@trunk)",
    ],
)
def test_it_lets_every_other_dial_pass(tmp_path: Path, direct: str) -> None:
    assert problems(dialplan(tmp_path, BILLED % "", direct)) == []


def test_it_does_not_compare_trunks_that_only_a_call_knows(tmp_path: Path) -> None:
    dialplan(
        tmp_path,
        "exten => 9,1,Gosub(coovox-billing-dial,s,1(${EXTEN},${ARG1},30))",
        "exten => 8,1,Dial(${ARG1},30)",
        "exten => 7,1,Dial(PJSIP/${ARG1},30)",
    )
    assert problems(tmp_path) == []


@pytest.mark.parametrize(("direct", "count"), [("DAHDI/G1/555", 1), ("dahdi/r1/555", 1), ("DAHDI/g2/555", 0)])
def test_it_knows_a_dahdi_group_by_its_number(tmp_path: Path, direct: str, count: int) -> None:
    dialplan(
        tmp_path,
        "exten => 9,1,Gosub(coovox-billing-dial,s,1(${EXTEN},DAHDI/g1/${EXTEN},30))",
        f"exten => 8,1,Dial({direct},30)",
    )
    assert len(problems(tmp_path)) == count


def test_it_leaves_our_own_dialplan_out(tmp_path: Path) -> None:
    dialplan(tmp_path, BILLED % "", "#include extensions_coovox_billing.conf")
    dialplan(tmp_path, "exten => s,1,Dial(PJSIP/1@trunk)", name="extensions_coovox_billing.conf")
    assert problems(tmp_path) == []


def test_it_survives_globals_that_name_each_other(tmp_path: Path) -> None:
    dialplan(tmp_path, "[globals]", "A=${B}", "B=${A}x", "[out]", "exten => 1,1,Dial(${A})")
    assert problems(tmp_path) == []


@given(arguments=st.text(alphabet='a1(){}[]$&/@,"\\^ '), more=st.text(alphabet="gG()$ "))
def test_it_survives_any_arguments(tmp_path_factory: pytest.TempPathFactory, arguments: str, more: str) -> None:
    etc = tmp_path_factory.mktemp("etc")
    called = f"exten => 1,1,Gosub(coovox-billing-dial,s,1({arguments},PJSIP/{arguments},{arguments},{more}))"
    dialplan(etc, called, f"exten => 2,1,Dial({arguments}{more})")
    assert all(problem.line.number in (2, 3) for problem in problems(etc))


@pytest.mark.parametrize(
    ("called", "count"),
    [("coovox-billing-dail", 1), ("coovox-billing", 1), ("coovox-billing-dial", 0), ("my-coovox-billing-x", 0)],
)
def test_it_names_a_subroutine_that_does_not_exist(tmp_path: Path, called: str, count: int) -> None:
    (tmp_path / "extensions.conf").write_text(f"[out]\nexten => _9X.,1,Gosub({called},s,1(1,PJSIP/1@t,9,,T))\n")
    found = misspelled_calls(read_config(tmp_path, "extensions.conf"))
    assert [called in problem.message for problem in found] == [True] * count


@pytest.mark.parametrize(
    ("destination", "found"), [("Local/${EXTEN}@out", 1), ("Local/${EXTEN}@out/n", 0), ("PJSIP/${EXTEN}@trunk", 0)]
)
def test_it_finds_a_local_channel_that_would_step_aside(tmp_path: Path, destination: str, found: int) -> None:
    route = f"exten => _9X.,1,Gosub(coovox-billing-dial,s,1(${{EXTEN}},{destination},30,,trunk))"
    said = [problem for problem in problems(dialplan(tmp_path, route)) if "steps aside" in problem.message]
    assert len(said) == found


def unbilled(etc: Path, *trunks: str) -> list[str]:
    return [problem.message for problem in unbilled_dials(read_config(etc, "extensions.conf"), etc, trunks)]


@pytest.mark.parametrize(
    ("line", "device"),
    [
        ("exten => _8X.,1,Dial(PJSIP/${EXTEN:1}@other,30)", "PJSIP/other"),
        ("exten => _8X.,1,Dial(PJSIP/other/sip:${EXTEN}@10.0.0.1)", "PJSIP/other"),
        ("exten => _8X.,1,Dial(SIP/other/${EXTEN:1},30)", "SIP/other"),
        ("exten => _8X.,1,Dial(SIP/${EXTEN}@10.0.0.1)", "SIP/10.0.0.1"),
        ("exten => _8X.,1,Dial(IAX2/other/${EXTEN})", "IAX2/other"),
        ("exten => _8X.,1,Dial(DAHDI/g1/${EXTEN:1})", "DAHDI/g1"),
        ("exten => _8X.,1,Dial(DAHDI/R1/${EXTEN:1})", "DAHDI/g1"),
        ("exten => _8X.,1,ExecIf($[1]?Dial(PJSIP/100&PJSIP/${EXTEN}@other))", "PJSIP/other"),
        ("exten => _8X.,1,Originate(PJSIP/${EXTEN}@other,app,Playback,x)", "PJSIP/other"),
        ("exten => 500,1,Dial(PJSIP/backup)", "PJSIP/backup"),
    ],
)
def test_it_names_whatever_goes_out_unbilled(tmp_path: Path, line: str, device: str) -> None:
    dialplan(tmp_path, BILLED % "", line)
    (message,) = unbilled(tmp_path, "PJSIP/backup")
    assert message.startswith("extensions.conf line 3 ([outbound] ")
    assert f"priority 1) dials {device} without billing" in message


@pytest.mark.parametrize(
    "line",
    [
        "exten => _1XX,1,Dial(PJSIP/${EXTEN},30)",
        "exten => 100,1,Dial(PJSIP/100&SIP/100&DAHDI/5,30)",
        "exten => 100,1,Dial(${PJSIP_DIAL_CONTACTS(100)},30)",
        "exten => 100,1,Dial(Local/9555@outbound/n)",
        "exten => 100,1,Dial(PJSIP/${EXTEN}@${WHATEVER})",
        "exten => _8X.,1,Dial(PJSIP/${EXTEN:1}@other,30) ; inside line, coovox-billing: free",
        ";exten => _8X.,1,Dial(PJSIP/${EXTEN:1}@other,30)",
        "exten => _8X.,1,Gosub(coovox-billing-dial,s,1(${EXTEN},PJSIP/${EXTEN:1}@other,30,,other))",
        "exten => _8X.,1,Dial(PJSIP/${EXTEN:1}@trunk,30)",
    ],
)
def test_it_takes_no_telephone_and_nothing_that_is_meant_for_a_way_out(tmp_path: Path, line: str) -> None:
    assert unbilled(dialplan(tmp_path, BILLED % "", line)) == []


def test_it_lets_a_trunk_be_dialed_free_where_a_remark_says_so(tmp_path: Path) -> None:
    line = "exten => 800,1,Dial(PJSIP/0800@trunk) ; coovox-billing: free"
    assert problems(dialplan(tmp_path, BILLED % "", line)) == []


def test_it_knows_where_each_line_stands(tmp_path: Path) -> None:
    dialplan(tmp_path, "exten => _9X.,1,NoOp()", " same => n(here),NoOp()", "exten=>7,5,NoOp()", "same=>n,NoOp(a,b)")
    assert list(places(read_config(tmp_path, "extensions.conf")).values()) == [
        "[outbound] _9X., priority 1",
        "[outbound] _9X., priority 2",
        "[outbound] 7, priority 5",
        "[outbound] 7, priority 6",
    ]


def test_it_names_a_trunk_with_two_names(tmp_path: Path) -> None:
    second = (BILLED % "").replace("_9X.", "_8X.").replace(",trunk)", ",Backup)")
    config = read_config(dialplan(tmp_path, BILLED % "", BILLED % "", second), "extensions.conf")
    (found,) = twice_named(billed_routes(config))
    assert found.message.startswith(
        "extensions.conf line 4 calls the trunk PJSIP/trunk `Backup`, and extensions.conf line 2 calls it `trunk`"
    )


@pytest.mark.parametrize(
    ("pattern", "number", "taken"),
    [
        ("911", "911", True),
        ("911", "9112", False),
        ("_9X.", "911", True),
        ("_9X.", "91", False),
        ("_9X!", "91", True),
        ("_9!", "9", True),
        ("_[1-35]Z", "39", True),
        ("_[1-35]Z", "49", False),
        ("_[1-35]Z", "30", False),
        ("_NXX-XXXX", "2345678", True),
        ("_NXX-XXXX", "1345678", False),
        ("_.", "1", True),
        ("_.", "", False),
        ("_x", "5", True),
    ],
)
def test_it_matches_a_pattern_as_asterisk_does(pattern: str, number: str, taken: bool) -> None:
    assert matches(pattern, number) == taken


@pytest.mark.parametrize(
    ("lines", "sent"),
    [
        ([BILLED % ""], ["911 is sent out as 11 by"]),
        ([BILLED % "", (BILLED % "").replace("_9X.", "911").replace("EXTEN:1", "EXTEN")], []),
        ([BILLED % "", "exten => 911,1,Dial(PJSIP/911@trunk)"], []),
        ([(BILLED % "").replace("_9X.", "_0X.")], []),
        ([(BILLED % "").replace("EXTEN:1", "EXTEN")], []),
        ([(BILLED % "").replace("_9X.", "_9NXXXXXX")], []),
        (["exten => _9X.,1,Dial(PJSIP/${EXTEN:1})"], []),
    ],
)
def test_it_names_emergency_numbers_that_a_route_cuts(tmp_path: Path, lines: list[str], sent: list[str]) -> None:
    config = read_config(dialplan(tmp_path, *lines), "extensions.conf")
    found = [problem.message for problem in unreached_emergencies(config, {"112", "911", "9911", "0112"})]
    assert [words in message for words, message in zip(sent, found, strict=True)] == [True] * len(sent)
