"""Where Asterisk's manager is: as the setting `ami` says, else as `pbx install` left it on this machine."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from coovox_billing.errors import SetupError
from coovox_billing.pbx.ami import Ami
from coovox_billing.pbx.ami_protocol import AMI_SETTING, AmiAddress, parse_ami
from coovox_billing.pbx.dialplan_check import active_lines, read_bytes
from coovox_billing.pbx.parts import AMI, AMI_FILE, AMI_USER, DEFAULT_ETC, is_ours, secret_in
from coovox_billing.sentences import Sentence

DEFAULT_PORT = 5038
OFF = "off"
READY_SECONDS = 15.0
POLL_SECONDS = 0.05


def manager_address(setting: str, etc: Path = DEFAULT_ETC) -> AmiAddress | None:
    """The manager to sign in to; None where there is none, or the setting is `off`.

    Raises:
        SetupError: the setting is no address.
    """
    if setting:
        return None if setting == OFF else parse_ami(setting)
    with suppress(SetupError):
        secret = secret_in(read_bytes(etc / AMI_FILE)) if is_ours(etc / AMI_FILE, AMI) else None
        if secret:
            return AmiAddress("127.0.0.1", _port(read_bytes(etc / AMI.host)), AMI_USER, secret)
    return None


def what_to_do(setting: str, etc: Path = DEFAULT_ETC) -> str:
    """What brings a manager where `manager_address` found none."""
    if setting == OFF:
        return Sentence("It is off: take `%(word)s` out of %(setting)s.", word=OFF, setting=AMI_SETTING)
    file = etc / AMI_FILE
    if file.exists() and not os.access(file, os.R_OK):
        return Sentence(
            "Let this user read %(file)s, as a member of the group that owns it, and start billing again.", file=file
        )
    return Sentence(
        "Run `coovox-billing pbx install` here, or put the manager's user into %(setting)s.", setting=AMI_SETTING
    )


@asynccontextmanager
async def signed_in(address: AmiAddress) -> AsyncIterator[Ami]:
    """A connection for a question or two.

    Raises:
        SetupError: there is none.
    """
    ami = Ami(address, lambda event: None)
    running = asyncio.create_task(ami.run())
    try:
        await _until_ready(ami, address)
        yield ami
    finally:
        running.cancel()
        await asyncio.wait([running])


async def _until_ready(ami: Ami, address: AmiAddress) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not ami.is_ready:
                if ami.complaint:
                    raise SetupError("%(complaint)s", complaint=ami.complaint)
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise SetupError(
            "Asterisk's manager at %(address)s is not ready: try again when Asterisk has started", address=address
        ) from None


def _port(manager_conf: bytes) -> int:
    for _, text in active_lines(manager_conf):
        key, _, value = text.partition("=")
        if key.strip() == "port" and value.strip().isdecimal():
            return int(value)
    return DEFAULT_PORT
