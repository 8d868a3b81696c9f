"""The keys that seal vendor grants: random, sealed themselves, replaced while everything goes on.

A new key seals from the moment it is stored. What older keys sealed stays readable until it has been sealed anew; a
key goes only when no row names it, which the database itself enforces (a foreign key).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from sqlalchemy import delete, exists, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth.configuration import ConfigurationError
from shared_auth.sealing import Seal, Unsealable
from shared_auth.store import changed, vault_keys, vendor_grants

KEY_BYTES = 32


class Keyring:
    """The vault's keys on one database. ``secret`` is the seal that the keys themselves are kept under."""

    def __init__(self, engine: AsyncEngine, secret: Seal, *, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._secret = secret
        self._clock = clock
        self._opened: dict[str, Seal] = {}

    async def newest(self) -> tuple[str, Seal]:
        """Return the id of the key to seal with, as the database says now, and the key; the first call makes one.

        Raises ConfigurationError when the secret does not open it.
        """
        latest = select(vault_keys).order_by(vault_keys.c.position.desc()).limit(1)
        while True:
            async with self._engine.connect() as connection:
                row = (await connection.execute(latest)).first()
            if row is None:
                await self._insert(1)
                continue
            try:
                return row.key_id, self._open(row.key_id, row.sealed)
            except Unsealable:
                raise ConfigurationError(
                    "secret: does not open the vault's keys in the database; restore the secret that was in use, or "
                    "delete the rows of auth_vendor_grants and auth_vault_keys to have everybody connect again"
                ) from None

    async def named(self, key_id: str) -> Seal:
        """Return the key that a row names. Raises Unsealable when there is none, or none that the secret opens."""
        if key_id not in self._opened:
            async with self._engine.connect() as connection:
                mine = select(vault_keys.c.sealed).where(vault_keys.c.key_id == key_id)
                sealed = (await connection.execute(mine)).scalar()
            if sealed is None:
                raise Unsealable("cannot be opened")
            return self._open(key_id, sealed)
        return self._opened[key_id]

    async def add(self) -> str:
        """Make a new key and return its id: everything is sealed with it from now on, on every replica."""
        newest, _ = await self.newest()
        async with self._engine.connect() as connection:
            mine = select(vault_keys.c.position).where(vault_keys.c.key_id == newest)
            position = int((await connection.execute(mine)).scalar_one())
        await self._insert(position + 1)
        return (await self.newest())[0]

    async def drop_unused(self) -> int:
        """Delete the keys, but the newest, that no row names; return how many."""
        newest, _ = await self.newest()
        named = exists().where(vendor_grants.c.key_id == vault_keys.c.key_id)
        unused = (vault_keys.c.key_id != newest) & ~named
        try:
            async with self._engine.begin() as connection:
                gone = await changed(connection, delete(vault_keys).where(unused))
        except IntegrityError:
            return 0  # a row began to need one in this moment: the next time, then
        self._opened.clear()
        return gone

    async def _insert(self, position: int) -> None:
        key, key_id = secrets.token_bytes(KEY_BYTES), secrets.token_hex(8)
        sealed = self._secret.seal(key, row=f"vault-key:{key_id}")
        values = {"position": position, "key_id": key_id, "sealed": sealed, "created_at": int(self._clock())}
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(vault_keys).values(**values))
        except IntegrityError:
            return  # another replica took this position first: its key is the key

    def _open(self, key_id: str, sealed: bytes) -> Seal:
        if key_id not in self._opened:
            self._opened[key_id] = Seal(self._secret.open(sealed, row=f"vault-key:{key_id}"))
        return self._opened[key_id]
