"""The forms of a page, filled in as a browser opens them."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Form:
    """A form: where and how it is sent, what its fields hold, where its buttons send it instead."""

    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    elsewhere: list[str] = field(default_factory=list)
    has_file: bool = False


def forms(html: str) -> list[Form]:
    """Every form of a page."""
    reader = _Reader()
    reader.feed(html)
    return reader.forms


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._select = ""
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(found.get("method", "get").lower(), found.get("action", ""))
            self.forms.append(self._form)
        if self._form is None:
            return
        name, fields = found.get("name", ""), self._form.fields
        if tag == "button" and "formaction" in found:
            self._form.elsewhere.append(found["formaction"])
        if tag == "input" and found.get("type") == "file":
            self._form.has_file = True
        elif tag == "input" and name:
            is_choice = found.get("type") in ("checkbox", "radio")
            if not is_choice or "checked" in found:
                fields[name] = found.get("value", "on" if is_choice else "")
        if tag == "select":
            self._select = name
        if tag == "option" and self._select and ("selected" in found or self._select not in fields):
            fields[self._select] = found.get("value", "")
        if tag == "textarea" and name:
            self._text = name
            fields[name] = ""

    def handle_data(self, data: str) -> None:
        if self._text and self._form is not None:
            self._form.fields[self._text] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        if tag == "select":
            self._select = ""
        if tag == "textarea":
            self._text = ""
