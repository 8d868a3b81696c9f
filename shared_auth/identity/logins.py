"""Sign-ins that are on their way through the provider: made only after consent, ten minutes, one use, one browser.

``state`` is in the address and, set by the same answer, in a cookie: what the provider answers counts only in the
browser that left for it (login CSRF). The rest is sealed, so read access to the database opens no sign-in.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import sha256

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import opaque
from shared_auth.authorization.questions import Question
from shared_auth.reasons import Denied, Reason
from shared_auth.sealing import Seal, Unsealable
from shared_auth.store import changed, logins

LOGIN_S = 600


@dataclass(frozen=True, slots=True)
class Login:
    """A sign-in on its way. ``question`` is what the person said yes to before leaving, None without an agent;
    ``page`` is the page of ours that they came for then, "" for none.
    """

    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    question: Question | None
    page: str = ""

    @property
    def challenge(self) -> str:
        """The PKCE S256 challenge of ``verifier`` (RFC 7636 section 4.2)."""
        return base64.urlsafe_b64encode(sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()


class Logins:
    """The sign-ins that the provider has not answered yet."""

    def __init__(self, engine: AsyncEngine, seal: Seal, *, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._seal = seal
        self._clock = clock

    async def begin(self, question: Question | None, page: str = "") -> tuple[str, Login]:
        """Store a new sign-in and return it with its state."""
        state, login = opaque.new("login"), Login(opaque.new("nonce"), opaque.new("verifier"), question, page)
        name = opaque.digest(state)
        values = {
            "login_hash": name,
            "sealed": self._seal.seal(json.dumps(asdict(login)).encode(), row=f"login:{name}"),
            "expires_at": int(self._clock()) + LOGIN_S,
        }
        async with self._engine.begin() as connection:
            await connection.execute(insert(logins).values(**values))
        return state, login

    async def spend(self, state: str) -> Login:
        """Return the sign-in of ``state``, the first time. Raises Denied (LOGIN_UNKNOWN)."""
        now, name = int(self._clock()), opaque.digest(state)
        mine = logins.c.login_hash == name
        unspent = logins.c.used_at.is_(None) & (logins.c.expires_at > now)
        async with self._engine.begin() as connection:
            first = await changed(connection, update(logins).where(mine, unspent).values(used_at=now))
            sealed = (await connection.execute(select(logins.c.sealed).where(mine))).scalar()
        if not first or sealed is None:
            raise Denied(Reason.LOGIN_UNKNOWN)
        try:
            value = json.loads(self._seal.open(sealed, row=f"login:{name}"))
        except Unsealable:
            raise Denied(Reason.LOGIN_UNKNOWN) from None
        asked = None if value["question"] is None else Question(**value["question"])
        # A replica of an earlier version stores no page.
        return Login(value["nonce"], value["verifier"], asked, value.get("page", ""))

    async def prune(self) -> int:
        """Delete sign-ins that are answered or expired."""
        over = logins.c.used_at.is_not(None) | (logins.c.expires_at <= int(self._clock()))
        async with self._engine.begin() as connection:
            return await changed(connection, delete(logins).where(over))
