"""OAuth clients: found, authenticated in the one way they registered, and forgotten when nobody uses them."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_plus

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request

from shared_auth import opaque
from shared_auth.authorization import assertions
from shared_auth.authorization.assertions import Assertions
from shared_auth.authorization.client import Client
from shared_auth.authorization.declared import PRIVATE_KEY, PUBLIC, REFRESH_TOKEN, AuthMethod, Declared, DeclaredClient
from shared_auth.authorization.documents import Documents
from shared_auth.authorization.parameters import Parameters
from shared_auth.reasons import Denied, Reason
from shared_auth.store import changed, clients

MAX_CLIENTS = 10_000
UNUSED_S = 86_400
"""Life of a client that nobody has signed in through."""
USED_S = 180 * 86_400
"""Life of a client after its last token."""
MAKE_ROOM_S = 900
"""Age from which unused clients make room for new ones when ``MAX_CLIENTS`` is reached."""


class Clients:
    """The registered clients. An expired one does not exist, whether or not it was deleted yet."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        clock: Callable[[], float],
        documents: Documents | None = None,
        declared: Declared | None = None,
        assertions: Assertions | None = None,
        max_clients: int = MAX_CLIENTS,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._documents = documents
        self._max_clients = max_clients
        self._declared = declared or Declared()
        self._assertions = assertions

    async def find(self, client_id: str | None) -> Client:
        """Return the client. Raises Denied (CLIENT_MISSING, CLIENT_UNKNOWN, DOCUMENT_…)."""
        if client_id is None:
            raise Denied(Reason.CLIENT_MISSING)
        declared = self._declared.find(client_id)
        if declared is not None:
            return _of(declared)
        if self._documents is not None and client_id.startswith("https://"):
            return await self._documents.find(client_id)
        alive = select(clients).where(clients.c.client_id == client_id, clients.c.expires_at > int(self._clock()))
        async with self._engine.connect() as connection:
            row = (await connection.execute(alive)).first()
        if row is None:
            raise Denied(Reason.CLIENT_UNKNOWN)
        uris = tuple(json.loads(row.redirect_uris))
        return Client(row.client_id, row.name, uris, row.auth_method, row.may_refresh, row.secret_hash)

    async def add(self, client: Client) -> None:
        """Store a new client. Raises Denied (REGISTRATION_FULL) when there are too many in use to make room."""
        now = int(self._clock())
        values = {
            "client_id": client.client_id,
            "name": client.name,
            "redirect_uris": json.dumps(client.redirect_uris),
            "auth_method": client.auth_method,
            "secret_hash": client.secret_hash,
            "may_refresh": client.may_refresh,
            "created_at": now,
            "expires_at": now + UNUSED_S,
        }
        if await self._count() >= self._max_clients:
            await self._delete((clients.c.expires_at <= now) | self._idle(now))
            if await self._count() >= self._max_clients:
                raise Denied(Reason.REGISTRATION_FULL)
        async with self._engine.begin() as connection:
            await connection.execute(insert(clients).values(**values))

    async def used(self, client_id: str) -> None:
        """Note that the client has received a token: from now it lives ``USED_S`` seconds."""
        now = int(self._clock())
        found = update(clients).where(clients.c.client_id == client_id)
        async with self._engine.begin() as connection:
            await connection.execute(found.values(used_at=now, expires_at=now + USED_S))

    async def authenticate(self, request: Request, form: Parameters) -> Client:
        """Return the client that sends ``form``, proven in the way it registered. Raises Denied.

        A public client only names itself: what it may do then rests on the code, verifier or token it presents.
        """
        client_id, secret, method = _presented(request, form)
        client = await self.find(client_id)
        if client.auth_method != method:
            raise Denied(Reason.CLIENT_METHOD_WRONG)
        if method == PRIVATE_KEY:
            await self._prove(form["client_assertion"], client)
        elif secret is not None and not hmac.compare_digest(opaque.digest(secret), client.secret_hash or ""):
            raise Denied(Reason.CLIENT_SECRET_WRONG)
        return client

    async def _prove(self, assertion: str, client: Client) -> None:
        if self._assertions is None or client.declared is None:
            raise Denied(Reason.CLIENT_METHOD_WRONG)
        await self._assertions.prove(assertion, client.declared)

    async def prune(self) -> int:
        """Delete expired clients."""
        return await self._delete(clients.c.expires_at <= int(self._clock()))

    async def _count(self) -> int:
        async with self._engine.connect() as connection:
            return int((await connection.execute(select(func.count()).select_from(clients))).scalar_one())

    async def _delete(self, which: Any) -> int:
        async with self._engine.begin() as connection:
            return await changed(connection, delete(clients).where(which))

    @staticmethod
    def _idle(now: int) -> Any:
        return clients.c.used_at.is_(None) & (clients.c.created_at <= now - MAKE_ROOM_S)


def _presented(request: Request, form: Parameters) -> tuple[str | None, str | None, AuthMethod]:
    """Return client id, secret and method as presented; RFC 6749 section 2.3 allows one method per request."""
    headers = request.headers.getlist("authorization")
    in_body = form.get("client_secret")
    if "client_assertion" in form or "client_assertion_type" in form:
        return _asserted(form, also=bool(headers) or in_body is not None), None, PRIVATE_KEY
    if not headers:
        return form.get("client_id"), in_body, PUBLIC if in_body is None else "client_secret_post"
    if len(headers) > 1 or in_body is not None:
        raise Denied(Reason.CLIENT_METHODS_MIXED)
    client_id, secret = _basic(headers[0])
    if form.get("client_id", client_id) != client_id:
        raise Denied(Reason.CLIENT_METHODS_MIXED)
    return client_id, secret, "client_secret_basic"


def _asserted(form: Parameters, *, also: bool) -> str:
    if also:
        raise Denied(Reason.CLIENT_METHODS_MIXED)
    if form.get("client_assertion_type") != assertions.TYPE or "client_assertion" not in form:
        raise Denied(Reason.ASSERTION_INVALID)
    client_id = assertions.claimed_client(form["client_assertion"])
    if form.get("client_id", client_id) != client_id:  # RFC 7521 section 4.2
        raise Denied(Reason.CLIENT_METHODS_MIXED)
    return client_id


def _of(declared: DeclaredClient) -> Client:
    return Client(
        client_id=declared.client_id,
        name=declared.name,
        redirect_uris=declared.redirect_uris,
        auth_method=declared.auth_method,
        may_refresh=REFRESH_TOKEN in declared.grant_types,
        secret_hash=declared.secret_hash,
        declared=declared,
    )


def _basic(header: str) -> tuple[str, str]:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        raise Denied(Reason.CLIENT_METHOD_WRONG)
    try:
        client_id, colon, secret = base64.b64decode(value.strip(), validate=True).decode("ascii").partition(":")
    except (binascii.Error, ValueError):
        raise Denied(Reason.CLIENT_SECRET_WRONG) from None
    if not colon:
        raise Denied(Reason.CLIENT_SECRET_WRONG)
    # RFC 6749 section 2.3.1: both halves are form-encoded before they are joined.
    return unquote_plus(client_id), unquote_plus(secret)
