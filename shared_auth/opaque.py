"""Opaque secrets: 256 random bits each, stored only as SHA-256.

A fast hash is enough because there is nothing to guess; the prefix lets secret scanners find one that leaked.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Literal

Kind = Literal[
    "code",
    "refresh",
    "client",
    "secret",
    "session",
    "consent",
    "link",
    "grant",
    "browser",
    "login",
    "nonce",
    "verifier",
    "device",
    "departure",
    "version",
    "lease",
]

_PREFIX: dict[Kind, str] = {
    "code": "mpc_",
    "refresh": "mpr_",
    "client": "mpi_",
    "secret": "mps_",
    "session": "mpw_",
    "consent": "mpq_",
    "link": "mpl_",
    "grant": "mpg_",
    "device": "mpd_",
    "browser": "mpb_",
    "login": "mpo_",
    "nonce": "mpn_",
    "verifier": "mpv_",
    "departure": "mpx_",
    "version": "mpt_",
    "lease": "mpe_",
}


def new(kind: Kind) -> str:
    """Return a new secret (or, for clients and grants, an unguessable name) of URL-safe characters."""
    return _PREFIX[kind] + secrets.token_urlsafe(32)


def digest(value: str) -> str:
    """Return what the database stores in place of ``value``: hexadecimal SHA-256."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
