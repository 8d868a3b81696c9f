"""A real Chromium, driven over WebDriver (W3C WebDriver 2): what pages say and do in a browser that enforces their rules."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.running import free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
START_TIMEOUT_S = 60.0
SEEN_TIMEOUT_S = 20.0
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The name under which WebDriver answers an element (section 12.1)."""

_ARGUMENTS = (
    "--headless",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


class Browser:
    """One window with cookies of its own."""

    def __init__(self, http: httpx.Client, session: str) -> None:
        self._http = http
        self._path = f"/session/{session}"

    def open(self, url: str) -> None:
        """Go to an address and wait until it is loaded."""
        self._post("/url", {"url": url})

    @property
    def url(self) -> str:
        """Where the window is."""
        return str(self._get("/url"))

    @property
    def title(self) -> str:
        """The title of the page."""
        return str(self._get("/title"))

    @property
    def text(self) -> str:
        """What a person reads on the page."""
        return str(self._get(f"/element/{self._find('body')}/text"))

    def press(self, text: str) -> None:
        """Press the button of that text. Raises AssertionError when there is none."""
        found = self._all(f"//button[normalize-space()={_quoted(text)}]", "xpath")
        assert len(found) == 1, f"{len(found)} buttons {text!r} on {self.url}: {self.text}"
        self._post(f"/element/{found[0]}/click", {})

    def until(self, text: str) -> str:
        """Wait until a person reads ``text``, and return all that they read. Raises AssertionError."""
        deadline = time.monotonic() + SEEN_TIMEOUT_S
        shown = ""
        while time.monotonic() < deadline:
            # Between two pages there is no body.
            with contextlib.suppress(httpx.HTTPStatusError):
                shown = self.text
                if text in shown:
                    return shown
            time.sleep(0.05)
        raise AssertionError(f"{text!r} is not to be read on {self.url}: {shown}")

    def run(self, script: str) -> Any:
        """Run a script in the page, as the browser's console does, and return its value."""
        return self._post("/execute/sync", {"script": script, "args": []})

    def frame(self) -> str:
        """Return the address that stands in the page's only frame, as the browser ended up with it."""
        self._post("/frame", {"id": {ELEMENT: self._find("iframe")}})
        try:
            return str(self.run("return document.location.href"))
        finally:
            self._post("/frame", {"id": None})

    def complaints(self) -> list[str]:
        """Return what the browser's console has said since the last time."""
        return [entry["message"] for entry in self._post("/se/log", {"type": "browser"})]

    def _find(self, selector: str) -> str:
        """Return the first such element. Raises httpx.HTTPStatusError when there is none, as between two pages."""
        return str(self._post("/element", {"using": "css selector", "value": selector})[ELEMENT])

    def _all(self, selector: str, using: str) -> list[str]:
        return [found[ELEMENT] for found in self._post("/elements", {"using": using, "value": selector})]

    def _get(self, path: str) -> Any:
        return self._http.get(self._path + path).raise_for_status().json()["value"]

    def _post(self, path: str, body: object) -> Any:
        return self._http.post(self._path + path, json=body).raise_for_status().json()["value"]


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[httpx.Client]:
    """Yield a driver. Skips where Chromium and its driver are not installed, except in CI: there they must be."""
    if CHROMIUM is None or DRIVER is None:
        if os.environ.get("CI"):
            pytest.fail("chromium and chromedriver are not installed")
        pytest.skip("chromium and chromedriver are not installed")
    port = free_port()
    with (folder / "chromedriver.log").open("w") as log:
        driver = subprocess.Popen([DRIVER, f"--port={port}"], stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=START_TIMEOUT_S) as http:
            _wait(http)
            yield http
    finally:
        driver.terminate()
        driver.wait(20)


@contextlib.contextmanager
def window(driver: httpx.Client, profile: Path) -> Iterator[Browser]:
    """Yield a new browser with an empty profile."""
    arguments = [*_ARGUMENTS, f"--user-data-dir={profile}"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium's own sandbox does not start as root
    wanted = {
        "goog:chromeOptions": {"binary": CHROMIUM, "args": arguments},
        "goog:loggingPrefs": {"browser": "ALL"},
    }
    made = driver.post("/session", json={"capabilities": {"alwaysMatch": wanted}}).raise_for_status()
    session = made.json()["value"]["sessionId"]
    try:
        yield Browser(driver, session)
    finally:
        driver.delete(f"/session/{session}")


def _wait(http: httpx.Client) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if http.get("/status").json()["value"]["ready"]:
                return
        time.sleep(0.05)
    raise AssertionError("chromedriver did not start")


def _quoted(text: str) -> str:
    """Return a string of XPath 1.0, which knows no escapes."""
    assert '"' not in text
    return f'"{text}"'
