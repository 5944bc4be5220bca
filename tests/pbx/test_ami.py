"""Asterisk's manager: nothing is believed that is not whole, and no connection is for ever."""

import asyncio
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.errors import SetupError
from coovox_billing.pbx import ami as ami_module
from coovox_billing.pbx import ami_protocol
from coovox_billing.pbx.ami import Ami, AmiAddress, AmiError, AmiGone, Message, parse_ami
from coovox_billing.pbx.ami_protocol import AMI_SETTING, Malformed, MessageReader
from tests.pbx.fake_ami import (
    GREETING,
    Action,
    Client,
    FakeAmi,
    connected,
    event,
    list_end,
    list_item,
    list_start,
    listed,
    message,
    refused,
    running,
    success,
    until,
)

CHANNEL = {"Channel": "PJSIP/108-00000001", "Uniqueid": "1772442000.1"}
OTHER = {"Channel": "PJSIP/109-00000002", "Uniqueid": "1772442000.2"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami_module, "FIRST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(ami_module, "SLOWEST_RETRY_SECONDS", 0.05)


def with_fake(
    story: Callable[[FakeAmi, Client], Awaitable[None]], prepare: Callable[[FakeAmi], None] | None = None
) -> None:
    """Run a story between a fake manager and a client that is ready."""

    async def play() -> None:
        async with FakeAmi() as fake:
            if prepare is not None:
                prepare(fake)
            async with connected(fake.address) as client:
                await story(fake, client)

    asyncio.run(play())


def _silent(action: Action) -> str:
    return ""


# What is read


def _messages(chunks: list[bytes]) -> list[str]:
    reader = MessageReader()
    return [repr(told) for chunk in chunks for told in reader.feed(chunk)]


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(min(place, len(data)) for place in places)
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


header_text = st.text(max_size=20).map(lambda text: text.replace("\r", "").replace("\n", ""))
some_messages = st.lists(st.lists(st.tuples(st.just("H"), header_text), min_size=1, max_size=4), max_size=6)


@given(some_messages, st.lists(st.integers(0, 400), max_size=20))
def test_it_reads_the_same_however_it_is_cut(messages: list[list[tuple[str, str]]], places: list[int]) -> None:
    data = (GREETING + "".join(message(*headers) for headers in messages)).encode()
    assert _messages(_cut(data, places)) == _messages([data])
    read = list(MessageReader().feed(data))
    assert [told.all("h") for told in read] == [[value for _, value in headers] for headers in messages]


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=10))
def test_it_reads_garbage_the_same_however_it_is_cut(garbage: bytes, places: list[int]) -> None:
    data = GREETING.encode() + garbage
    assert _messages(_cut(data, places)) == _messages([data])


@given(st.binary(min_size=1, max_size=300).filter(lambda data: not GREETING.encode().startswith(data[:22])))
def test_it_refuses_what_does_not_greet(garbage: bytes) -> None:
    with pytest.raises(Malformed, match="greeting"):
        _messages([garbage])


def test_it_finds_headers_by_any_case_and_keeps_their_order() -> None:
    told = Message("Event: X\r\nVariable: A=1\r\nVARIABLE: B=2\r\nEmpty: \r\nno header\r\nV:  two blanks ")
    assert (told.get("event"), told.get("Event"), told.get("Empty", "none"), told.get("Gone", "none")) == (
        "X",
        "X",
        "",
        "none",
    )
    assert told.all("variable") == ["A=1", "B=2"]
    assert told.get("v") == " two blanks "


def test_it_takes_variables_apart_at_the_first_sign() -> None:
    told = Message(
        "Variable: CDR(answer,u)=1.5\r\nVariable: A=b=c\r\nChanVariable: C=\r\nVariable: NO\r\nVariable: A=x"
    )
    assert told.variables == {"CDR(answer,u)": "1.5", "A": "b=c", "C": ""}


@pytest.mark.parametrize(
    ("text", "is_ambiguous"),
    [
        ("Channel: a\r\nUniqueid: 1\r\nVariable: A=1\r\nVariable: B=1\r\nSeconds: 1\r\nSeconds: 2", False),
        ("Channel: a\r\nVariable: channel=b\r\nVariable: A=1\r\nChanVariable: A=1", False),
        ("Channel: a\r\nExten: 9\r\nchannel: b", True),
        ("Exten: 9\r\nUniqueid:2\r\nUniqueid: 1", True),
        ("Event: Status\r\nEvent: Hangup", True),
        ("Variable:A=2\r\nVariable: A=1", True),
        ("ChanVariable: A=2\r\nVariable: A=1", True),
    ],
)
def test_it_knows_a_message_that_contradicts_itself(text: str, is_ambiguous: bool) -> None:
    assert Message(text).is_ambiguous is is_ambiguous


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("A: " + "b" * ami_protocol.MAX_LINE_BYTES + "\r\n\r\n", "line"),
        ("A: b\r\n" * ami_protocol.MAX_HEADERS + "C: d\r\n\r\n", "headers"),
        ("A: b\r\n" * (ami_protocol.MAX_MESSAGE_BYTES // 6 + 1), "message"),
        ("A" * (ami_protocol.MAX_MESSAGE_BYTES + 1), "message"),
    ],
)
def test_it_refuses_what_is_out_of_bounds(text: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        _messages([GREETING.encode(), text.encode()])


def test_it_refuses_an_endless_greeting() -> None:
    with pytest.raises(Malformed):
        _messages([GREETING.strip().encode(), b"x" * (ami_protocol.MAX_MESSAGE_BYTES + 1)])


def test_it_takes_a_drip_of_a_huge_message_without_reading_it_again_and_again() -> None:
    data = (GREETING + event("X", [("H", "v" * 50_000)] * 4)).encode()
    began = time.monotonic()
    assert len(_messages([data[place : place + 1] for place in range(len(data))])) == 1
    assert time.monotonic() - began < 5


# The setting


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("billing:secret@127.0.0.1:5038", AmiAddress("127.0.0.1", 5038, "billing", "secret")),
        (" a:b:c@d@pbx:1\n", AmiAddress("pbx", 1, "a", "b:c@d")),
        ("a:b@[::1]:5038", AmiAddress("::1", 5038, "a", "b")),
    ],
)
def test_it_reads_the_setting(text: str, address: AmiAddress) -> None:
    assert parse_ami(text) == address


def test_it_prints_an_address_without_its_secret() -> None:
    address = parse_ami("billing:hidden@[::1]:5038")
    assert str(address) == "[::1]:5038"
    assert "hidden" not in repr(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hidden",
        "billing:hidden@127.0.0.1",
        "billing:hidden@127.0.0.1:0",
        "billing:hidden@127.0.0.1:65536",
        "billing:hidden@127.0.0.1:x",
        "billing:hidden@:5038",
        ":hidden@127.0.0.1:5038",
        "billing:@127.0.0.1:5038",
        "hidden@127.0.0.1:5038",
        "billing:hidden\r\nAction: Originate@127.0.0.1:5038",
        "billing:hidden\udcff@127.0.0.1:5038",
    ],
)
def test_it_refuses_a_setting_it_cannot_read_without_showing_the_secret(text: str) -> None:
    with pytest.raises(SetupError, match="user:secret@HOST:PORT") as refusal:
        parse_ami(text)
    assert "hidden" not in str(refusal.value)


# Signing in


def test_it_signs_in_and_is_ready_when_asterisk_is_booted() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        (login,) = fake.actions
        assert (login.get("Username"), login.get("Secret"), login.get("Events")) == ("test", "test", "on")
        assert (client.events, client.occasions) == (["FullyBooted"], ["ready"])

    with_fake(story)


def test_it_is_not_ready_before_asterisk_is_booted() -> None:
    async def play() -> None:
        async with FakeAmi() as fake:
            fake.is_booted = False
            async with running(fake.address) as client:
                await until(lambda: fake.asked("Login"))
                await asyncio.sleep(0.05)
                assert not client.ami.is_ready
                with pytest.raises(AmiGone):
                    await client.ami.action("Ping")
                await fake.send(event("FullyBooted"))
                await until(lambda: client.ami.is_ready)
                assert client.occasions == ["ready"]

    asyncio.run(play())


def test_it_takes_a_boot_that_is_told_before_the_login_is_answered() -> None:
    def early(fake: FakeAmi) -> None:
        fake.answers["Login"] = lambda action: event("FullyBooted") + success(action)

    async def story(fake: FakeAmi, client: Client) -> None:
        assert (await client.ami.action("Ping")).get("Response") == "Success"

    with_fake(story, early)


def test_it_speaks_with_an_asterisk_that_sends_byte_by_byte() -> None:
    def dripping(fake: FakeAmi) -> None:
        fake.sends_bytes_singly = True
        fake.answers["Status"] = lambda action: listed(action, "Status", CHANNEL, OTHER)

    async def story(fake: FakeAmi, client: Client) -> None:
        channels = await client.ami.listing("Status")
        assert [channel.get("Channel") for channel in channels] == [CHANNEL["Channel"], OTHER["Channel"]]

    with_fake(story, dripping)


def test_it_says_what_to_do_when_the_login_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        async with FakeAmi() as fake:
            wrong = AmiAddress(fake.address.host, fake.address.port, "billing", "hidden")
            async with running(wrong) as client:
                await until(lambda: fake.connections == 3)
                assert (client.ami.is_ready, client.occasions) == (False, [])
                assert "check the setting ami" in client.ami.complaint

    asyncio.run(play())
    (error,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert error.getMessage() == f"Asterisk refuses billing: Authentication failed; check {AMI_SETTING}"
    assert "hidden" not in caplog.text


def test_it_tries_a_refused_login_again_slowly_and_a_lost_connection_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami_module, "FIRST_RETRY_SECONDS", 0.2)
    monkeypatch.setattr(ami_module, "SLOWEST_RETRY_SECONDS", 10.0)
    assert _pauses(monkeypatch, is_refused=True) == pytest.approx([10, 10, 10], rel=0.11)
    assert _pauses(monkeypatch, is_refused=False) == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10], rel=0.11)


def _pauses(monkeypatch: pytest.MonkeyPatch, is_refused: bool) -> list[float]:
    """How long it waits between its tries; nobody listens where it is not refused."""
    pauses: list[float] = []
    enough = asyncio.Event()
    sleep = asyncio.sleep

    async def record(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == (3 if is_refused else 8):
            enough.set()
        await sleep(0)

    async def play() -> None:
        async with FakeAmi() as fake:
            fake.answers["Login"] = lambda action: refused(action, "Authentication failed")
            if not is_refused:
                await fake.stop()
            with monkeypatch.context() as patched:
                patched.setattr(asyncio, "sleep", record)
                async with running(fake.address):
                    await asyncio.wait_for(enough.wait(), 5)

    asyncio.run(play())
    return pauses[: 3 if is_refused else 8]


def test_it_starts_over_with_short_pauses_after_a_healthy_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami_module, "HEALTHY_SECONDS", 0.05)
    monkeypatch.setattr(ami_module, "SLOWEST_RETRY_SECONDS", 10.0)

    async def story(fake: FakeAmi, client: Client) -> None:
        client.ami._retry_seconds = 10.0
        await asyncio.sleep(0.1)
        await fake.drop()
        await until(lambda: client.occasions == ["ready", "lost", "ready"], 1)

    with_fake(story)


@pytest.mark.parametrize("greeting", ["", "SSH-2.0-OpenSSH_9.2\r\n", "\x00\xff" * 5000, "Asterisk Call Manager/11.0.0"])
def test_it_leaves_a_peer_that_is_no_manager_and_tries_again(greeting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami_module, "CONNECT_SECONDS", 0.1)

    async def play() -> None:
        async with FakeAmi() as fake:
            fake.greeting = greeting
            async with running(fake.address) as client:
                await until(lambda: fake.connections > 3)
                assert not client.ami.is_ready
                fake.greeting = GREETING
                await until(lambda: client.ami.is_ready)

    asyncio.run(play())


def test_it_goes_on_trying_where_the_host_cannot_even_be_looked_up() -> None:
    async def play() -> None:
        async with running(AmiAddress("pbx..example", 5038, "a", "b")) as client:
            await until(lambda: client.ami.complaint)
            assert client.ami.complaint.endswith("manager: the name pbx..example is not known")

    asyncio.run(play())


@pytest.mark.parametrize(
    ("error", "plain"),
    [
        (OSError(111, "Connect call failed ('127.0.0.1', 5038)"), "nothing answers at 127.0.0.1:5038"),
        (
            OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1'), [Errno 111] Connect call failed"),
            "nothing answers at 127.0.0.1:5038",
        ),
        (OSError(113, "Connect call failed ('127.0.0.1', 5038)"), "127.0.0.1:5038: No route to host"),
        (socket.gaierror(-2, "Name or service not known"), "the name 127.0.0.1 is not known"),
        (TimeoutError(), "127.0.0.1:5038: no answer in time"),
        (AmiGone("Asterisk closed the connection"), "127.0.0.1:5038: Asterisk closed the connection"),
    ],
    ids=["refused", "refused twice", "no route", "no name", "slow", "closed"],
)
def test_it_says_plainly_why_there_is_no_connection(
    monkeypatch: pytest.MonkeyPatch, error: Exception, plain: str
) -> None:
    async def fail(ami: Ami) -> None:
        raise error

    async def play() -> None:
        monkeypatch.setattr(Ami, "_stay", fail)
        async with running(AmiAddress("127.0.0.1", 5038, "a", "b")) as client:
            await until(lambda: client.ami.complaint)
            assert client.ami.complaint == f"no connection to Asterisk's manager: {plain}"

    asyncio.run(play())


# Commands


def test_it_hands_over_the_response() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["Getvar"] = lambda action: success(action, ("Variable", "A"), ("Value", "42"))
        response = await client.ami.action("Getvar", [("Channel", "PJSIP/1"), ("Variable", "A"), ("Variable", "B")])
        assert response.get("Value") == "42"
        (asked,) = fake.asked("Getvar")
        assert asked.headers[2:] == (("Channel", "PJSIP/1"), ("Variable", "A"), ("Variable", "B"))

    with_fake(story)


def test_it_gives_every_answer_to_its_own_question() -> None:
    held: list[Action] = []

    def answer_backwards(action: Action) -> str:
        held.append(action)
        if len(held) < 20:
            return ""
        return "".join(success(one, ("Value", one.get("Variable"))) for one in reversed(held))

    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["Getvar"] = answer_backwards
        wanted = [str(number) for number in range(20)]
        found = await asyncio.gather(*(client.ami.action("Getvar", {"Variable": name}) for name in wanted))
        assert [response.get("Value") for response in found] == wanted

    with_fake(story)


def test_it_raises_asterisks_own_words_when_it_refuses() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["Setvar"] = lambda action: refused(action, "No such channel")
        fake.answers["Odd"] = lambda action: message(("Response", "Perhaps"), ("ActionID", action.action_id))
        with pytest.raises(AmiError, match=r"^No such channel$"):
            await client.ami.action("Setvar", {"Channel": "gone"})
        with pytest.raises(AmiError, match="without a reason"):
            await client.ami.action("Odd")
        assert client.ami.is_ready

    with_fake(story)


@pytest.mark.parametrize("evil", ["a\r\nAction: Originate", "a\nb", "a\rb", "a\0b"])
def test_it_sends_no_value_that_would_be_a_header_of_its_own(evil: str) -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        for fields in ({"Value": evil}, {evil: "x"}, {"Value: x": "y"}):
            with pytest.raises(ValueError, match="line end"):
                await client.ami.action("Setvar", fields)
            with pytest.raises(ValueError, match="line end"):
                await client.ami.listing("Status", fields)
        with pytest.raises(ValueError, match="line end"):
            await client.ami.action(evil)
        with pytest.raises(ValueError, match="surrogates"):
            await client.ami.action("Setvar", {"Value": "\udcff"})
        await client.ami.action("Ping")
        assert [action.name for action in fake.actions] == ["Login", "Ping"]

    with_fake(story)


def test_it_gives_up_a_question_that_is_never_answered_and_ignores_a_late_answer() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["Slow"] = _silent
        with pytest.raises(AmiGone, match="no answer"):
            await client.ami.action("Slow", timeout_seconds=0.05)
        (slow,) = fake.asked("Slow")
        fake.answers["Ping"] = lambda action: success(slow, ("Late", "yes")) + success(action)
        assert (await client.ami.action("Ping")).get("Late") == ""

    with_fake(story)


def test_it_tells_whoever_waits_at_once_when_asterisk_closes_in_mid_answer() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["Setvar"] = lambda action: success(action)[:-6]
        waiting = [asyncio.create_task(client.ami.action("Setvar")) for _ in range(3)]
        await until(lambda: len(fake.asked("Setvar")) == 3)
        began = time.monotonic()
        await fake.drop()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [AmiGone] * 3
        assert time.monotonic() - began < 1
        await until(lambda: client.occasions == ["ready", "lost", "ready"])
        await client.ami.action("Ping")
        assert len(fake.asked("Setvar")) == 3, "nothing is sent again"

    with_fake(story)


def test_it_never_uses_an_action_id_twice() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        for round_number in range(3):
            await client.ami.action("Ping")
            await client.ami.action("Ping")
            await fake.drop()
            await until(lambda: client.occasions.count("ready") == round_number + 2 and client.ami.is_ready)  # noqa: B023
        ids = [action.action_id for action in fake.actions]
        assert len(set(ids)) == len(ids) == 10

    with_fake(story)


def test_it_bounds_how_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami_module, "MAX_WAITING", 5)

    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["Slow"] = _silent
        slow = [client.ami.action("Slow", timeout_seconds=0.2) for _ in range(6)]
        results = await asyncio.gather(*slow, return_exceptions=True)
        assert [type(result) for result in results] == [AmiGone] * 6
        assert len(fake.asked("Slow")) == 5
        await client.ami.action("Ping")

    with_fake(story)


def test_it_drops_a_peer_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has said all that is needed to be taken for Asterisk, then sleeps."""
    monkeypatch.setattr(ami_module, "MAX_UNSENT_BYTES", 10_000)

    async def play() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            async with running(AmiAddress("127.0.0.1", listening.getsockname()[1], "a", "b")) as client:
                peer, _ = await asyncio.to_thread(listening.accept)
                login = Action((("ActionID", _action_id(await asyncio.to_thread(peer.recv, 1_000))),))
                peer.sendall((GREETING + success(login) + event("FullyBooted")).encode())
                await until(lambda: client.ami.is_ready)
                large = [client.ami.action("Slow", {"V": "x" * 50_000}) for _ in range(200)]
                results = await asyncio.gather(*large, return_exceptions=True)
                assert {type(result) for result in results} == {AmiGone}
                assert client.occasions[:2] == ["ready", "lost"]
                peer.close()

    asyncio.run(play())


def _action_id(data: bytes) -> str:
    return data.decode().partition("ActionID: ")[2].partition("\r\n")[0]


# Lists


def test_it_collects_a_list_in_order_and_without_its_end() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["Status"] = lambda action: listed(action, "Status", {**CHANNEL, "Variable": "A=1"}, OTHER)
        channels = await client.ami.listing("Status", {"Variables": "A"})
        assert [channel.get("Channel") for channel in channels] == [CHANNEL["Channel"], OTHER["Channel"]]
        assert channels[0].variables == {"A": "1"}
        assert client.events == ["FullyBooted"]

    with_fake(story)


def test_it_takes_an_empty_list() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["Status"] = lambda action: listed(action, "Status")
        assert await client.ami.listing("Status") == []

    with_fake(story)


def test_it_raises_when_a_list_is_refused() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["PJSIPShowEndpoints"] = lambda action: refused(action, "No endpoints found")
        with pytest.raises(AmiError, match=r"^No endpoints found$"):
            await client.ami.listing("PJSIPShowEndpoints")

    with_fake(story)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_it_believes_no_list_whose_count_is_off(count: int) -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        items = (CHANNEL, OTHER)
        fake.answers["Status"] = lambda action: listed(action, "Status", *items).replace(
            f"ListItems: {len(items)}", f"ListItems: {count}"
        )
        with pytest.raises(AmiError, match=f"counts {count} items of a list and sent 2"):
            await client.ami.listing("Status")

    with_fake(story)


def test_it_takes_a_tree_of_asterisk_16_which_always_counts_one() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        keys = [{"Key": f"/tree/{number}", "Val": "v"} for number in range(3)]
        for items in ([], keys):
            fake.answers["DBGetTree"] = lambda action: (
                list_start(action)
                + "".join(list_item(action, "DBGetTreeResponse", item) for item in items)  # noqa: B023
                + list_end(action, 1)
            )
            assert len(await client.ami.listing("DBGetTree", {"Family": "tree"})) == len(items)

    with_fake(story)


def test_it_takes_a_list_without_a_count() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["Peers"] = lambda action: (
            list_start(action)
            + list_item(action, "Peer", CHANNEL)
            + message(("Event", "PeersAreDone"), ("EventList", "Complete"), ("ActionID", action.action_id))
        )
        assert len(await client.ami.listing("Peers")) == 1

    with_fake(story)


@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "silent"])
def test_it_believes_no_list_that_was_cut_short(is_closed: bool) -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["Status"] = lambda action: list_start(action) + list_item(action, "Status", CHANNEL)
        waiting = asyncio.create_task(client.ami.listing("Status", timeout_seconds=5 if is_closed else 0.1))
        await until(lambda: fake.asked("Status"))
        if is_closed:
            await fake.drop()
        with pytest.raises(AmiGone):
            await waiting

    with_fake(story)


def test_it_drops_the_late_rest_of_a_list_that_nobody_waits_for() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["Status"] = list_start
        with pytest.raises(AmiGone):
            await client.ami.listing("Status", timeout_seconds=0.05)
        (late,) = fake.asked("Status")
        rest = list_item(late, "Status", CHANNEL) + list_end(late, 1)
        fake.answers["Status"] = lambda action: listed(action, "Status", OTHER)
        await fake.send(rest)
        (channel,) = await client.ami.listing("Status")
        assert channel.get("Channel") == OTHER["Channel"]
        assert client.events == ["FullyBooted"]

    with_fake(story)


def test_it_takes_lists_that_are_asked_for_at_once() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["Status"] = lambda action: listed(action, "Status", CHANNEL) + event("Hangup")
        lists = await asyncio.gather(*(client.ami.listing("Status") for _ in range(10)))
        assert [len(channels) for channels in lists] == [1] * 10
        await until(lambda: client.events.count("Hangup") == 10)

    with_fake(story)


def test_it_hands_over_an_event_between_the_items_of_a_list_but_does_not_believe_the_list() -> None:
    """Asterisk writes a list in one go: what stands between its items is a piece of one that was cut up."""

    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["Status"] = lambda action: (
            list_start(action) + list_item(action, "Status", CHANNEL) + event("Newchannel", OTHER) + list_end(action, 1)
        )
        with pytest.raises(AmiError, match="not Asterisk's alone: PJSIP/109-00000002"):
            await client.ami.listing("Status")
        assert client.events == ["FullyBooted", "Newchannel"]
        fake.answers["Status"] = lambda action: listed(action, "Status", CHANNEL)
        assert len(await client.ami.listing("Status")) == 1

    with_fake(story)


@pytest.mark.parametrize(
    "dialed",
    [
        "9\r\n\r\nEvent: Status\r\nChannel: PJSIP/trunk-1",
        "9\r\n\r\nX: y",
        "9\r\n\r\nResponse: Success\r\nActionID: coovox-1",
        "9\r\n\r\nResponse: Error\r\nMessage: No endpoints found",
        "9\r\n\r\nEvent: StatusComplete\r\nEventList: Complete\r\nListItems: 0\r\n\r\nEvent: Status",
        "9\r\nUniqueid: 1.9",
        "9\r\nChannel: PJSIP/trunk-1",
        "9\r\nVariable: ID=forged",
        "9\r\nChanVariable: ID=forged",
    ],
)
@pytest.mark.parametrize("is_id_last", [True, False], ids=["as Status", "as CoreShowChannels"])
def test_it_believes_no_list_in_which_a_dialed_number_writes(dialed: str, is_id_last: bool) -> None:
    """What Asterisk 16 and 22 do with `INVITE sip:9%0D%0A...`: the number stands in the list as it was dialed."""
    place = ("Exten", dialed), ("Uniqueid", CHANNEL["Uniqueid"]), ("Variable", "ID=(null)")

    def answer(action: Action) -> str:
        item = [("Event", action.name), ("Channel", CHANNEL["Channel"]), *place]
        item.insert(len(item) if is_id_last else 1, ("ActionID", action.action_id))
        return list_start(action) + list_item(action, "Status", OTHER) + message(*item) + list_end(action, 2)

    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["Status"] = answer
        with pytest.raises(AmiError, match="not Asterisk's alone"):
            await client.ami.listing("Status", {"Variables": "ID"})
        assert client.ami.is_ready

    with_fake(story)


@pytest.mark.parametrize(("constant", "bound"), [("MAX_LIST_EVENTS", 50), ("MAX_LISTED_CHARACTERS", 5_000)])
def test_it_drops_a_peer_whose_list_does_not_end(constant: str, bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami_module, constant, bound)

    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["Status"] = lambda action: (
            list_start(action) + list_item(action, "Status", {**CHANNEL, "V": "x" * 100}) * 60
        )
        with pytest.raises(AmiGone, match="a list is too long"):
            await client.ami.listing("Status")
        await until(lambda: client.occasions == ["ready", "lost", "ready"])
        fake.answers["Status"] = lambda action: listed(action, "Status", CHANNEL)
        for _ in range(100):
            await client.ami.listing("Status")
        assert client.occasions == ["ready", "lost", "ready"], "what was handed over is counted no longer"

    with_fake(story)


# Staying


def test_it_comes_back_ten_times() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        for number in range(1, 11):
            await fake.drop()
            await until(lambda: client.occasions == ["ready"] + ["lost", "ready"] * number)  # noqa: B023
            assert (await client.ami.action("Ping")).get("Response") == "Success"
        assert fake.connections == 11

    with_fake(story)


def test_it_is_not_ready_while_nobody_listens() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        await fake.stop()
        await until(lambda: not client.ami.is_ready)
        with pytest.raises(AmiGone):
            await client.ami.action("Ping")
        await fake.start()
        await until(lambda: client.ami.is_ready)
        assert client.occasions == ["ready", "lost", "ready"]

    with_fake(story)


# Being there only to ask


def with_brief(story: Callable[[FakeAmi, Client], Awaitable[None]]) -> None:
    """A story between a fake manager and a client that rests."""

    async def rested(fake: FakeAmi, client: Client) -> None:
        client.ami.be_brief(True)
        await client.ami.action("Ping")
        await until(lambda: client.ami.is_resting and not fake.is_anybody_there)
        await story(fake, client)

    with_fake(rested)


def test_it_signs_off_when_nobody_asks_and_comes_back_for_a_question() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        for connections in (2, 3):
            assert (client.ami.is_ready, client.ami.is_resting, fake.is_anybody_there) == (True, True, False)
            assert (await client.ami.action("Ping")).get("Response") == "Success"
            assert (client.ami.is_resting, fake.connections) == (False, connections)
            await until(lambda: client.ami.is_resting and not fake.is_anybody_there)
        assert (client.ami.connections, client.occasions) == (1, ["ready"])

    with_brief(story)


def test_it_comes_back_once_for_all_who_ask_at_once() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["Status"] = lambda action: listed(action, "Status", CHANNEL)
        answers = await asyncio.gather(*(client.ami.action("Ping") for _ in range(5)), client.ami.listing("Status"))
        assert (len(answers), fake.connections) == (6, 2)

    with_brief(story)


def test_it_does_not_sign_off_while_somebody_waits_for_an_answer() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        waiting: list[Action] = []
        fake.answers["Slow"] = lambda action: waiting.append(action) or ""  # type: ignore[func-returns-value]
        slow = asyncio.create_task(client.ami.action("Slow"))
        await until(lambda: waiting)
        await client.ami.action("Ping")
        await asyncio.sleep(0.05)
        await fake.send(success(waiting[0]))
        assert (await slow).get("Response") == "Success"
        assert fake.connections == 2

    with_brief(story)


def test_it_stays_again_when_it_shall() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        client.ami.be_brief(False)
        await until(lambda: not client.ami.is_resting)
        await client.ami.action("Ping")
        await asyncio.sleep(0.05)
        await fake.send(event("Hello"))
        await until(lambda: "Hello" in client.events)
        assert (fake.connections, client.occasions) == (2, ["ready"])

    with_brief(story)


def test_it_comes_back_unasked_where_it_shall_stay_just_as_it_leaves() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        await client.ami.action("Ping")
        assert client.ami._connection is not None
        client.ami._connection.leave()
        client.ami.be_brief(False)
        await until(lambda: fake.connections == 3 and not client.ami.is_resting)

    with_brief(story)


def test_it_takes_an_asterisk_that_started_during_a_rest_for_another_one() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        fake.uptime = "0"
        with pytest.raises(AmiGone):
            await client.ami.action("Ping")
        await until(lambda: client.occasions == ["ready", "lost", "ready"])
        assert client.ami.connections == 2

    with_brief(story)


def test_it_tells_that_asterisk_died_during_a_rest() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        was_resting: list[bool] = []
        client.ami._on_lost = lambda: was_resting.append(client.ami.is_resting)
        await fake.stop()
        with pytest.raises(AmiGone):
            await client.ami.action("Ping")
        assert (client.ami.is_ready, client.ami.is_resting, was_resting) == (False, False, [True])
        await fake.start()
        await until(lambda: client.occasions == ["ready", "ready"])

    with_brief(story)


@pytest.mark.parametrize("uptime", ["", "-1", "a while", "9" * 5000])
def test_it_does_not_leave_an_asterisk_that_does_not_tell_how_long_it_is_up(uptime: str) -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        client.ami.be_brief(True)
        await client.ami.action("Ping")
        await asyncio.sleep(0.05)
        assert (client.ami.is_ready, client.ami.is_resting, fake.connections) == (True, False, 1)

    with_fake(story, lambda fake: setattr(fake, "uptime", uptime))


def test_it_rests_no_more_where_it_was_not_let_in_again() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["Login"] = lambda action: refused(action, "Login Already In Use")
        with pytest.raises(AmiGone):
            await client.ami.action("Ping")
        fake.answers["Login"] = fake.sign_in
        await until(lambda: client.occasions == ["ready", "lost", "ready"])
        await client.ami.action("Ping")
        await asyncio.sleep(0.05)
        assert fake.is_anybody_there

    with_brief(story)


def test_it_keeps_nobody_waiting_for_an_asterisk_that_does_not_let_it_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        monkeypatch.setattr(ami_module, "CONNECT_SECONDS", 0.1)
        fake.is_booted = False
        with pytest.raises(AmiGone):
            await client.ami.action("Ping", timeout_seconds=0.02)
        assert client.ami.is_resting
        await until(lambda: client.occasions == ["ready", "lost"])
        assert not client.ami.is_ready

    with_brief(story)


def test_it_asks_a_silent_peer_for_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami_module, "PING_AFTER_SECONDS", 0.05)
    monkeypatch.setattr(ami_module, "PING_PATIENCE_SECONDS", 0.1)

    async def story(fake: FakeAmi, client: Client) -> None:
        await until(lambda: len(fake.asked("Ping")) >= 3)
        fake.answers["Ping"] = lambda action: refused(action, "Permission denied")
        await until(lambda: len(fake.asked("Ping")) >= 6)
        assert client.occasions == ["ready"]
        fake.answers["Ping"] = _silent
        await until(lambda: client.occasions[:2] == ["ready", "lost"])
        fake.answers["Ping"] = success
        await until(lambda: client.ami.is_ready)

    with_fake(story)


def test_it_tells_that_asterisk_does_not_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami_module, "PING_AFTER_SECONDS", 0.05)

    async def play() -> None:
        async with FakeAmi() as fake:
            fake.is_booted = False
            async with running(fake.address) as client:
                await until(lambda: len(fake.asked("Ping")) >= 2)
                assert "has not booted" in client.ami.complaint
                assert fake.connections == 1

    asyncio.run(play())


def test_it_drops_a_peer_that_sends_too_much_and_comes_back() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["Slow"] = _silent
        waiting = asyncio.create_task(client.ami.action("Slow"))
        await until(lambda: fake.asked("Slow"))
        with suppress(ConnectionError):
            await fake.send(b"A: b\r\n" * ami_protocol.MAX_MESSAGE_BYTES)
        with pytest.raises(AmiGone, match="malformed: a message is longer"):
            await waiting
        await until(lambda: client.occasions == ["ready", "lost", "ready"])

    with_fake(story)


def test_it_passes_over_garbage_between_messages() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        await fake.send(b"\r\n\r\n\x00\xff: \xfe\r\n\r\nResponse: Success\r\n\r\nnonsense\r\n\r\n\r\n\r\n")
        await fake.send(event("Hangup", {"Uniqueid": "1.1"}))
        await client.ami.action("Ping")
        assert client.events == ["FullyBooted", "Hangup"]

    with_fake(story)


def test_it_hands_over_the_events_of_actions_that_are_no_lists() -> None:
    async def story(fake: FakeAmi, client: Client) -> None:
        fake.answers["Originate"] = lambda action: (
            success(action) + event("OriginateResponse", {"Response": "Failure", "ActionID": action.action_id})
        )
        assert (await client.ami.action("Originate", {"Async": "true"})).get("Response") == "Success"
        await until(lambda: "OriginateResponse" in client.events)

    with_fake(story)


def test_it_goes_on_when_a_callback_raises(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("a bug")

    async def play() -> None:
        async with FakeAmi() as fake:
            ami = Ami(fake.address, fail, fail, fail)
            task = asyncio.create_task(ami.run())
            await until(lambda: ami.is_ready)
            await fake.send(event("Hangup"))
            await ami.action("Ping")
            await fake.drop()
            await until(lambda: fake.connections == 2 and ami.is_ready)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(play())
    failures = [record for record in caplog.records if record.exc_info]
    assert len(failures) == 7, "FullyBooted and ready, Hangup, lost; FullyBooted and ready, lost"


def test_it_closes_its_connection_when_it_is_canceled() -> None:
    async def play() -> None:
        async with FakeAmi() as fake:
            fake.answers["Slow"] = _silent
            async with connected(fake.address) as client:
                waiting = asyncio.create_task(client.ami.action("Slow"))
                await until(lambda: fake.asked("Slow"))
            with pytest.raises(AmiGone):
                await waiting
            assert (client.ami.is_ready, client.occasions) == (False, ["ready", "lost"])
            await until(lambda: not fake._writers)
            await asyncio.sleep(0.1)
            assert fake.connections == 1

    asyncio.run(play())


def test_it_loads_nothing_heavy() -> None:
    script = (
        "import sys; sys.modules['ssl'] = None; import coovox_billing.pbx.ami; "
        "print(sorted({'hashlib', 'secrets', 'random', 'email', 'http', 'urllib'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
