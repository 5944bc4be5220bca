"""The user guide shows every page of the menu, in pictures that the browser tests make, and quotes no others."""

import json
import re

import pytest
from flask import url_for

from coovox_billing.web import menu
from tests.browser.guide_pictures import FOLDER, GUIDE, MOST_BYTES, MOST_WIDTH, PAGES, ROOT, SAID
from tests.browser.small_png import size, small
from tests.web.conftest import Desk

SHOWN = re.findall(r"!\[[^\]]+\]\(user-guide/([\w-]+)\.png\)", GUIDE.read_text())


def test_it_shows_every_page_of_the_menu(desk: Desk) -> None:
    shown = {PAGES[name].partition("?")[0] for name in SHOWN}
    with desk.app.test_request_context():
        assert [item.name for item in menu.ITEMS if url_for(item.endpoint) not in shown] == []


def test_it_has_a_part_for_every_page_of_the_menu_under_its_name() -> None:
    parts = re.findall(r"^##+ (.+)$", GUIDE.read_text(), re.MULTILINE)
    assert [item.name for item in menu.ITEMS if item.name not in parts] == []


def test_it_shows_every_picture_that_the_tests_make_and_no_other() -> None:
    assert sorted(SHOWN) == sorted(PAGES) == sorted(path.stem for path in FOLDER.glob("*.png"))
    assert sorted(json.loads(SAID.read_text())) == sorted(PAGES)
    assert len(re.findall(r"!\[", GUIDE.read_text())) == len(SHOWN)


@pytest.mark.parametrize("name", PAGES)
def test_its_pictures_are_small(name: str) -> None:
    picture = (FOLDER / f"{name}.png").read_bytes()
    assert size(picture)[0] <= MOST_WIDTH
    assert len(picture) <= MOST_BYTES


def test_it_makes_a_picture_smaller_and_the_same() -> None:
    """One without a palette, of more colors than a palette holds."""
    made = (ROOT / "docs/call-log.png").read_bytes()
    once = small(made)
    assert size(once) == size(made)
    assert len(once) < len(made)
