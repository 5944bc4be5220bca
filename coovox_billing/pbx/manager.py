"""Where Asterisk's manager is: as the setting `ami` says, else as `pbx install` left it on this machine."""

from contextlib import suppress
from pathlib import Path

from coovox_billing.errors import SetupError
from coovox_billing.pbx.ami_protocol import AmiAddress, parse_ami
from coovox_billing.pbx.dialplan_check import active_lines, read_bytes
from coovox_billing.pbx.parts import AMI, AMI_FILE, AMI_USER, DEFAULT_ETC, is_ours, secret_in

DEFAULT_PORT = 5038
OFF = "off"


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


def _port(manager_conf: bytes) -> int:
    for _, text in active_lines(manager_conf):
        key, _, value = text.partition("=")
        if key.strip() == "port" and value.strip().isdecimal():
            return int(value)
    return DEFAULT_PORT
