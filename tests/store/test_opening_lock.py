"""Who opens a site locks a file in a directory that another user may write, and may be root."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from coovox_billing.errors import SetupError
from coovox_billing.small_files import make_directory, opened_lock
from coovox_billing.store.database import open_database, upgrade
from coovox_billing.store.database_file import FILE_NAME, OPENING_LOCK


def test_it_empties_nothing_that_a_link_leads_to(tmp_path: Path) -> None:
    precious = tmp_path / "passwd"
    precious.write_text("root:x:0:0")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / OPENING_LOCK).symlink_to(precious)
    with pytest.raises(SetupError, match="cannot use the data directory"):
        open_database(tmp_path / "site")
    assert precious.read_text() == "root:x:0:0"


def test_it_makes_nothing_where_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), opened_lock(tmp_path / "lock"):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_it_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("kept")
    with opened_lock(tmp_path / "lock"):
        pass
    assert (tmp_path / "lock").read_text() == "kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_root_leaves_it_to_the_owner_of_its_directory(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with opened_lock(tmp_path / "lock"):
        pass
    assert (tmp_path / "lock").stat().st_uid == 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must not follow it")
@pytest.mark.parametrize("open_it", [open_database, upgrade])
def test_root_opens_no_database_that_another_user_chose_by_a_link(
    tmp_path: Path, open_it: Callable[[Path], object]
) -> None:
    (tmp_path / "site").mkdir()
    link, chosen = tmp_path / "site" / FILE_NAME, tmp_path / "shadow"
    chosen.touch()
    link.symlink_to(chosen)
    os.chown(link, 65534, 65534, follow_symlinks=False)
    with pytest.raises(SetupError, match="is a link that another user made"):
        open_it(tmp_path / "site")
    assert chosen.read_bytes() == b""
    os.chown(link, 0, 0, follow_symlinks=False)
    open_database(tmp_path / "site").close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_that_became_a_link_is_not_given_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    made = Path.mkdir

    def swapped(path: Path, *arguments: int, **named: bool) -> None:
        if path.name == "backups":
            path.symlink_to(tmp_path / "etc")
        else:
            made(path, *arguments, **named)

    monkeypatch.setattr(Path, "mkdir", swapped)
    make_directory(tmp_path / "backups", 65534, 65534)
    assert (tmp_path / "etc").stat().st_uid == 0
