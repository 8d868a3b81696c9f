"""AES-256-GCM for the few stored things that must be read back. Associated data ties each to its own row."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12


class Unsealable(Exception):
    """Wrong secret, wrong row, or changed bytes. Never says which."""


class Seal:
    """Seals and opens with one secret. Its repr shows nothing."""

    __slots__ = ("_cipher",)

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(secret)

    def seal(self, plain: bytes, *, row: str) -> bytes:
        """Return nonce and ciphertext; only ``open`` with the same secret and ``row`` gives ``plain`` back."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, row.encode())

    def open(self, sealed: bytes, *, row: str) -> bytes:
        """Return what was sealed for ``row``. Raises Unsealable."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], row.encode())
        except (InvalidTag, ValueError):
            raise Unsealable("cannot be opened") from None
