"""The manager's client with a real Asterisk: what it was built on is so in 16 and 22."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from coovox_billing.pbx.ami import AmiAddress, AmiError, AmiGone
from tests.asterisk.pbx import Pbx
from tests.asterisk.sip import PhoneCall, phone
from tests.pbx.fake_ami import Client, connected, running, until

DIALPLAN = """
[from-internal]
exten => _9X.,1,Set(BLANKS=  two)
 same => n,Dial(PJSIP/5550000@trunk,30)

[busy]
exten => s,1,Answer
 same => n(again),Set(X=${RAND()})
 same => n,Wait(0.02)
 same => n,Goto(again)
"""
FORGED = "95550000%0D%0AUniqueid%3A1.1%0D%0A%0D%0AEvent%3AHangup%0D%0AUniqueid%3A1.9%0D%0A%0D%0AEvent%3AStatus"

Story = Callable[[Client], Awaitable[None]]


@pytest.fixture(scope="module")
def pbx(asterisk_version: int) -> Iterator[Pbx]:
    with Pbx(asterisk_version, DIALPLAN) as started:
        yield started


def address(pbx: Pbx, secret: str = "test") -> AmiAddress:
    return AmiAddress(pbx.address, pbx.ami_port, "test", secret)


def with_client(pbx: Pbx, story: Story) -> None:
    async def play() -> None:
        async with connected(address(pbx)) as client:
            await story(client)

    asyncio.run(play())


async def in_call(pbx: Pbx, number: str = "95550000") -> tuple[PhoneCall, str]:
    """A call that is answered, and its caller's channel."""
    call = phone(pbx, number, hang_up_after_ms=4_000)
    await asyncio.to_thread(call.wait_answered)
    (channel,) = [name for name in await asyncio.to_thread(pbx.channels) if name.startswith("PJSIP/108-")]
    return call, channel


async def over(pbx: Pbx, call: PhoneCall) -> None:
    await asyncio.to_thread(call.wait)
    await asyncio.to_thread(pbx.wait_idle)


def test_it_signs_in_and_asks(pbx: Pbx) -> None:
    async def story(client: Client) -> None:
        assert (await client.ami.action("Ping")).get("Ping") == "Pong"
        assert (await client.ami.action("CoreSettings")).get("AsteriskVersion").startswith(str(pbx.version))
        assert client.events.count("FullyBooted") == 1
        assert client.occasions == ["ready"]

    with_client(pbx, story)


@pytest.mark.parametrize("name", ["CoreShowChannels", "Status"])
def test_it_takes_a_list_of_no_channels(pbx: Pbx, name: str) -> None:
    async def story(client: Client) -> None:
        assert await client.ami.listing(name) == []

    with_client(pbx, story)


def test_it_keeps_and_finds_values_in_the_database(pbx: Pbx) -> None:
    async def story(client: Client) -> None:
        ami = client.ami
        with pytest.raises(AmiError, match="Database entry not found"):
            await ami.listing("DBGet", {"Family": "none", "Key": "none"})
        with pytest.raises(AmiError, match="could not be deleted"):
            await ami.action("DBDel", {"Family": "none", "Key": "none"})
        assert await ami.listing("DBGetTree", {"Family": "none"}) == []
        for key in ("a", "b", "c"):
            await ami.action("DBPut", {"Family": "tree", "Key": key, "Val": f"{key}:1=2, 3 "})
        (found,) = await ami.listing("DBGet", {"Family": "tree", "Key": "b"})
        assert found.get("Val") == "b:1=2, 3 "
        tree = await ami.listing("DBGetTree", {"Family": "tree"})
        assert [item.get("Key") for item in tree] == ["/tree/a", "/tree/b", "/tree/c"]
        await ami.action("DBDelTree", {"Family": "tree"})

    with_client(pbx, story)


def test_it_reads_and_sets_variables_of_a_live_channel(pbx: Pbx) -> None:
    async def story(client: Client) -> None:
        ami = client.ami
        call, channel = await in_call(pbx)
        await ami.action("Setvar", {"Channel": channel, "Variable": "MINE", "Value": "a=b"})
        assert (await ami.action("Getvar", {"Channel": channel, "Variable": "MINE"})).get("Value") == "a=b"
        await ami.action("Setvar", {"Channel": channel, "Variable": "TIMEOUT(absolute)", "Value": "60"})
        left = await ami.action("Getvar", {"Channel": channel, "Variable": "TIMEOUT(absolute)"})
        assert 55 < float(left.get("Value")) <= 60
        told = await ami.listing("Status", {"Variables": "MINE,BLANKS,CDR(answer,u)"})
        caller = next(one for one in told if one.get("Channel") == channel)
        trunk = next(one for one in told if one.get("Channel") != channel)
        assert (len(told), caller.variables["MINE"], caller.variables["BLANKS"]) == (2, "a=b", "  two")
        assert (trunk.variables["MINE"], float(caller.variables["CDR(answer,u)"]) > 0) == ("(null)", True)
        await ami.action("Hangup", {"Channel": channel, "Cause": "16"})
        await over(pbx, call)
        for action in ("Getvar", "Setvar", "Hangup"):
            with pytest.raises(AmiError, match="No such channel"):
                await ami.action(action, {"Channel": channel, "Variable": "MINE", "Value": "x"})
        await until(lambda: client.events.count("Hangup") >= 2)

    with_client(pbx, story)


def test_it_is_refused_a_line_that_is_too_long_and_stays(pbx: Pbx) -> None:
    async def story(client: Client) -> None:
        await client.ami.action("Setvar", {"Variable": "LONG", "Value": "v" * 1_000})
        with pytest.raises(AmiError, match="line too long"):
            await client.ami.action("Setvar", {"Variable": "LONG", "Value": "w" * 1_100})
        assert (await client.ami.action("Getvar", {"Variable": "LONG"})).get("Value") == "v" * 1_000
        assert client.occasions == ["ready"]

    with_client(pbx, story)


def test_it_believes_no_list_while_a_dialed_number_writes_in_it(pbx: Pbx) -> None:
    """A telephone forges events, and pieces of Status; an answer to a question about one channel it cannot."""

    async def story(client: Client) -> None:
        call, channel = await in_call(pbx, FORGED)
        for name in ("Status", "CoreShowChannels"):
            with pytest.raises(AmiError, match="not Asterisk's alone"):
                await client.ami.listing(name)
        uniqueid = (await client.ami.action("Getvar", {"Channel": channel, "Variable": "UNIQUEID"})).get("Value")
        assert uniqueid != "1.1"
        await over(pbx, call)
        assert await client.ami.listing("Status") == []
        assert "1.9" in {told.get("Uniqueid") for told in client.heard if told.get("Event") == "Hangup"}
        assert client.occasions == ["ready"]

    with_client(pbx, story)


def test_it_gets_lists_in_one_piece_among_thousands_of_events(pbx: Pbx) -> None:
    async def story(client: Client) -> None:
        ami = client.ami
        where = {"Channel": "Local/s@busy/n", "Context": "busy", "Exten": "s", "Priority": "1", "Async": "true"}
        for _ in range(6):
            await ami.action("Originate", where)
        await until(lambda: client.events.count("OriginateResponse") == 6, 10)
        for _ in range(100):
            assert len(await ami.listing("Status", {"Variables": "X"})) == 12
            # A channel that changes meanwhile is sometimes in this one twice.
            shown = await ami.listing("CoreShowChannels")
            assert len({channel.get("Channel") for channel in shown}) == 12
        await until(lambda: len(client.heard) > 1_000, 20)
        await ami.action("Hangup", {"Channel": "/^Local/"})
        await asyncio.to_thread(pbx.wait_idle)

    with_client(pbx, story)


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
def test_it_comes_back_after_a_restart_of_asterisk(pbx: Pbx, is_killed: bool) -> None:
    async def story(client: Client) -> None:
        await asyncio.to_thread(pbx.kill9 if is_killed else pbx.stop)
        await until(lambda: client.occasions == ["ready", "lost"])
        assert not client.ami.is_ready
        with pytest.raises(AmiGone):
            await client.ami.action("Ping")
        await asyncio.to_thread(pbx.start)
        await until(lambda: client.occasions == ["ready", "lost", "ready"], 20)
        assert await client.ami.listing("Status") == []
        assert ("Shutdown" in client.events) is not is_killed

    with_client(pbx, story)


def test_it_is_not_let_in_with_a_wrong_secret(pbx: Pbx) -> None:
    async def play() -> None:
        async with running(address(pbx, "wrong")) as client:
            await until(lambda: client.ami.complaint, 10)
            assert client.ami.complaint.startswith(
                "Asterisk refuses test: Authentication failed; check the setting ami"
            )
            assert (client.ami.is_ready, client.occasions, client.events) == (False, [], [])

    asyncio.run(play())
