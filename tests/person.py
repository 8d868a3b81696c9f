"""A person with a browser and an agent, over HTTP, at a portal whose people sign in at `tests.provider`."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import secrets
import ssl
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qs, urlsplit

import httpx

CALLBACK = "http://127.0.0.1:5999/callback"
TIMEOUT_S = 120.0
UNUSED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here is https; without it every client would load the system's certificates."""


@dataclass(frozen=True, slots=True)
class Asking:
    """One authorization request of a public client to the portal at ``url``, with PKCE."""

    url: str
    client_id: str
    redirect_uri: str = CALLBACK
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(8))

    def query(self) -> dict[str, str]:
        """Return the parameters of ``/authorize``."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        return {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "state": self.state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "resource": f"{self.url}/mcp",
        }

    def redeemed(self, code: str) -> dict[str, str]:
        """Return the form that ``/token`` takes for the code."""
        return {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
        }


class Agent:
    """One person's agent and browser, with connections and cookies of its own. An async context manager."""

    def __init__(self, portal_url: str, person: str) -> None:
        self._url = portal_url
        # Its own connections: one pool for all takes longer to choose from than the portal to answer.
        self._http = httpx.AsyncClient(trust_env=False, verify=UNUSED, timeout=TIMEOUT_S, headers={"X-Person": person})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def log_in(self, client_id: str | None) -> str:
        """Return an access token, got through the whole flow. Registers a client when none is given."""
        client_id = client_id or await self._register()
        asking = Asking(self._url, client_id)
        question = self._is(200, await self._http.get(f"{self._url}/authorize", params=asking.query()))
        consent = re.search(r'name="consent" value="([^"]+)"', question.text)
        assert consent, question.text
        form = {"consent": html.unescape(consent.group(1)), "decision": "allow"}
        told = await self._http.post(f"{self._url}/consent", data=form, headers={"Origin": self._url})
        while not self._is(303, told).headers["location"].startswith(CALLBACK):
            told = await self._http.get(told.headers["location"])
        answer = parse_qs(urlsplit(told.headers["location"]).query)
        assert answer["state"] == [asking.state]
        redeemed = asking.redeemed(answer["code"][0])
        tokens = self._is(200, await self._http.post(f"{self._url}/token", data=redeemed))
        return str(tokens.json()["access_token"])

    async def sign_in(self) -> None:
        """Sign the browser in, without any agent."""
        answer = await self._http.post(f"{self._url}/sign-in", headers={"Origin": self._url})
        while "location" in answer.headers:
            answer = await self._http.get(answer.headers["location"])

    async def see(self, path: str, *, at: str = "") -> str:
        """Return the page ``path``, as the replica ``at`` shows it to the browser."""
        return self._is(200, await self._http.get(f"{at or self._url}{path}")).text

    async def press(self, path: str, *, at: str = "", **form: str) -> httpx.Response:
        """Open the page ``path``, at the replica ``at``, and send one of its forms with what is hidden in it and ``form``."""
        page = await self.see(path, at=at)
        hidden = re.search(r'<input type="hidden" name="(\w+)" value="([^"]+)"', page)
        assert hidden, page
        filled = {hidden[1]: html.unescape(hidden[2])} | form
        return await self._http.post(f"{at or self._url}{path}", data=filled, headers={"Origin": self._url})

    async def execute(self, token: str, code: str) -> str:
        """Return what the agent reads."""
        call = {"name": "execute", "arguments": {"code": code}}
        answer = await self._http.post(
            f"{self._url}/mcp",
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call},
            headers={
                "Authorization": f"Bearer {token}",
                "Accept": "application/json, text/event-stream",
                "MCP-Protocol-Version": "2025-11-25",
            },
        )
        return self._is(200, answer).text

    async def _register(self) -> str:
        metadata = {
            "client_name": "Agent",
            "redirect_uris": [CALLBACK],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
        }
        return str(self._is(201, await self._http.post(f"{self._url}/register", json=metadata)).json()["client_id"])

    @staticmethod
    def _is(status: int, answer: httpx.Response) -> httpx.Response:
        if answer.status_code != status:
            raise AssertionError(f"{answer.request.method} {answer.url.path}: {answer.status_code} {answer.text[:300]}")
        return answer
