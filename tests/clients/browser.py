"""Stands in for the person's browser: keeps cookies, shows a page, presses one of its buttons, follows redirects.

It knows nothing of the portal's addresses or field names. What a person could not press does not work here either.
"""

from __future__ import annotations

import html
import html.parser
import re
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import httpx

TIMEOUT_S = 20.0
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class CannotGoOn(Exception):
    """The page does not have what a person would need here, or leads off this machine. The message has no query."""


@dataclass(slots=True)
class Form:
    """A form of a page: where it goes, its hidden fields, and its buttons by label with what each adds."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """What the browser shows. ``forms`` are those that are sent with POST."""

    url: str
    status: int
    text: str
    forms: tuple[Form, ...]

    @property
    def words(self) -> str:
        """What the page says, without markup, in one line of at most 300 characters."""
        body = re.sub(r"(?s)<style.*?</style>|<[^>]*>", " ", self.text)
        return " ".join(html.unescape(body).split())[:300]


class Browser:
    """One browser window with its cookies. Close it, or use it in ``with``."""

    def __init__(self) -> None:
        self._client = httpx.Client(
            trust_env=False, timeout=TIMEOUT_S, follow_redirects=True, event_hooks={"request": [_stay_here]}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def open(self, url: str) -> Page:
        """Return the page at ``url``, after its redirects. Raises CannotGoOn and httpx.HTTPError."""
        return _page(self._client.get(url))

    def press(self, page: Page, label: str) -> Page:
        """Press the button that begins with ``label`` and return what it leads to. Raises as ``open``."""
        for form in page.forms:
            for written, added in form.buttons.items():
                if written.startswith(label):
                    parts = urlsplit(page.url)
                    # What browsers send with a form; the portal judges both.
                    headers = {"Origin": f"{parts.scheme}://{parts.netloc}", "Sec-Fetch-Site": "same-origin"}
                    answer = self._client.post(
                        urljoin(page.url, form.action), data=form.fields | added, headers=headers
                    )
                    return _page(answer)
        raise CannotGoOn(f"{urlsplit(page.url).path} ({page.status}) has no button {label!r}")


def agree(authorize: str, sign_in_link: str) -> Page:
    """Do what a person does to connect an agent and return the last page, which is the agent's own.

    The agent's link is opened first, as it happens in life; then the sign-in link, which leads back to the question.
    Raises CannotGoOn and httpx.HTTPError.
    """
    with Browser() as browser:
        asked = browser.open(authorize)
        if asked.status >= 400:
            raise CannotGoOn(f"{urlsplit(asked.url).path} answered {asked.status}: {asked.words}")
        question = browser.press(browser.open(sign_in_link), "Sign in")
        return browser.press(question, "Yes")


def _stay_here(request: httpx.Request) -> None:
    if request.url.host not in LOOPBACK:
        raise CannotGoOn(f"leads to {request.url.host}, which is not this machine")


def _page(answer: httpx.Response) -> Page:
    reader = _Reader()
    if "html" in answer.headers.get("content-type", ""):
        reader.feed(answer.text)
    return Page(str(answer.url), answer.status_code, answer.text, tuple(reader.forms))


class _Reader(html.parser.HTMLParser):
    """Finds the POST forms of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._open: Form | None = None
        self._button: dict[str, str] | None = None
        self._label = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        have = {name: value or "" for name, value in attrs}
        if tag == "form" and have.get("method", "").lower() == "post":
            self._open = Form(have.get("action", ""))
            self.forms.append(self._open)
        elif tag == "input" and self._open is not None and have.get("type") == "hidden":
            self._open.fields[have.get("name", "")] = have.get("value", "")
        elif tag == "button":
            self._button = {have["name"]: have.get("value", "")} if "name" in have else {}
            self._label = ""

    def handle_data(self, data: str) -> None:
        self._label += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
        elif tag == "button" and self._open is not None and self._button is not None:
            self._open.buttons[self._label.strip()] = self._button
            self._button = None
