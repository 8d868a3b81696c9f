"""The questions that people are looking at: each answered at most once, and only by the browser that it was put to."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import opaque
from shared_auth.authorization.requests import AuthorizationRequest
from shared_auth.reasons import Denied, Reason
from shared_auth.store import changed, consents

CONSENT_S = 600


@dataclass(frozen=True, slots=True)
class Question:
    """What the person was asked, as it was stored."""

    client_id: str
    redirect_uri: str
    state: str | None
    scope: str
    challenge: str


class Questions:
    """The questions that wait for an answer."""

    def __init__(self, engine: AsyncEngine, *, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    async def ask(self, asked: str, request: AuthorizationRequest) -> str:
        """Store a question for ``asked``, the hash of a session or browser id, and return the question's id."""
        consent = opaque.new("consent")
        values = {
            "consent_hash": opaque.digest(consent),
            "session_hash": asked,
            "client_id": request.client.client_id,
            "redirect_uri": request.redirect_uri,
            "state": request.state,
            "scope": request.scope,
            "challenge": request.challenge,
            "expires_at": int(self._clock()) + CONSENT_S,
        }
        async with self._engine.begin() as connection:
            await connection.execute(insert(consents).values(**values))
        return consent

    async def answer(self, asked: Collection[str], consent: str) -> Question:
        """Return the question, the first time and only to whom of ``asked`` it was put. Raises Denied."""
        now, name = int(self._clock()), consents.c.consent_hash == opaque.digest(consent)
        mine = name & consents.c.session_hash.in_(asked)
        open_now = consents.c.used_at.is_(None) & (consents.c.expires_at > now)
        async with self._engine.begin() as connection:
            first = await changed(connection, update(consents).where(mine, open_now).values(used_at=now))
            columns = [consents.c[column] for column in Question.__dataclass_fields__]
            row = (await connection.execute(select(*columns).where(mine))).first()
        if not first or row is None:
            raise Denied(Reason.CONSENT_UNKNOWN)
        return Question(*row)

    async def prune(self) -> int:
        """Delete questions that are answered or expired."""
        over = consents.c.used_at.is_not(None) | (consents.c.expires_at <= int(self._clock()))
        async with self._engine.begin() as connection:
            return await changed(connection, delete(consents).where(over))
