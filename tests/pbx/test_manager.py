"""Where Asterisk's manager is found."""

from pathlib import Path

import pytest

from coovox_billing.errors import SetupError
from coovox_billing.pbx.install import install
from coovox_billing.pbx.manager import manager_address, what_to_do


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """The configuration of an Asterisk in which billing was installed."""
    (tmp_path / "extensions.conf").write_text("[default]\n")
    (tmp_path / "manager.conf").write_text("[general]\nenabled = yes\nport = 5039 ; ours\n")
    install(tmp_path)
    return tmp_path


def test_it_is_where_the_setting_says(etc: Path) -> None:
    manager = manager_address("me:a:b@c@pbx.example:5040", etc)
    assert manager is not None
    assert (manager.host, manager.port, manager.user, manager.secret) == ("pbx.example", 5040, "me", "a:b@c")


def test_it_is_what_was_installed_where_nothing_is_said(etc: Path) -> None:
    manager = manager_address("", etc)
    assert manager is not None
    assert (manager.host, manager.port, manager.user) == ("127.0.0.1", 5039, "coovox-billing")
    assert f"secret = {manager.secret}\n" in (etc / "manager_coovox_billing.conf").read_text()


def test_it_listens_where_asterisk_does_by_default(etc: Path) -> None:
    (etc / "manager.conf").write_text("[general]\nenabled = yes\n")
    manager = manager_address("", etc)
    assert manager is not None
    assert manager.port == 5038


@pytest.mark.parametrize("file", ["manager_coovox_billing.conf", "manager.conf"])
def test_it_is_nowhere_where_it_was_not_installed(etc: Path, file: str) -> None:
    (etc / file).unlink()
    assert manager_address("", etc) is None


def test_it_is_nowhere_where_a_file_of_that_name_is_not_ours(etc: Path) -> None:
    (etc / "manager_coovox_billing.conf").write_text("[somebody]\nsecret = else\n")
    assert manager_address("", etc) is None


def test_it_can_be_switched_off(etc: Path) -> None:
    assert manager_address("off", etc) is None


def test_it_says_what_brings_one(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert "Let this user read" in what_to_do("", etc)
    (etc / "manager_coovox_billing.conf").unlink()
    assert "pbx install" in what_to_do("", etc)


def test_it_says_that_it_was_switched_off(etc: Path) -> None:
    assert "It is off: take `off` out of the setting ami (in the settings file, or COOVOX_AMI)" in what_to_do(
        "off", etc
    )


def test_it_says_how_to_write_the_setting(etc: Path) -> None:
    with pytest.raises(SetupError, match="user:secret@HOST:PORT"):
        manager_address("nonsense", etc)
