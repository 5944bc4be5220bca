"""A page that is asked for while a file goes out is made before the file's next piece."""

import threading

import pytest

from coovox_billing.web import downloads, pages_first
from coovox_billing.web.pages_first import PagesFirst
from tests.web.conftest import Desk

UNBEARABLE_SECONDS = 60.0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> PagesFirst:
    """Files would wait for ever, as far as a test can tell."""
    monkeypatch.setattr(pages_first, "LONGEST_SECONDS", UNBEARABLE_SECONDS)
    return PagesFirst()


def test_a_file_waits_for_each_page_that_is_being_made(patient: PagesFirst) -> None:
    patient.let_pass()
    went_on = threading.Event()
    file = threading.Thread(target=lambda: (patient.let_pass(), went_on.set()))
    with patient:
        with patient:
            file.start()
        assert not went_on.wait(0.1), "the other page is not made yet"
    file.join(UNBEARABLE_SECONDS / 2)
    assert went_on.is_set()


def test_a_file_goes_on_though_pages_never_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_first, "LONGEST_SECONDS", 0.01)
    pages = PagesFirst()
    with pages:
        pages.let_pass()


def test_a_page_that_fails_is_made_too(patient: PagesFirst) -> None:
    with pytest.raises(ZeroDivisionError), patient:
        raise ZeroDivisionError
    patient.let_pass()


def test_pages_of_the_application_count(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted()
    monkeypatch.setattr("coovox_billing.web.app.pages_first", counted)
    monkeypatch.setattr(downloads, "pages_first", counted)
    desk.browser.get("/sign-in")
    assert counted.told == ["begins", "ends"]
    with desk.app.test_request_context():
        list(downloads.streamed(iter(["a", "b"]), "text/plain").response)
    assert counted.told[2:] == ["a file waits"] * 3, "before each piece, and before it is known that there is no more"


class Counted:
    """Takes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __enter__(self) -> None:
        self.told.append("begins")

    def __exit__(self, *_: object) -> None:
        self.told.append("ends")

    def let_pass(self) -> None:
        self.told.append("a file waits")
