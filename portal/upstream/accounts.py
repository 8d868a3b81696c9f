"""How a server gets the credential of whoever calls it, and how a person whose account is missing learns what to do.

A server only says that an account is not connected (kind ``connect``). Text and link are ours, made from the name that
the operator gave it; from a server that does not work with people's own accounts it is no more than a refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from portal.sections import Upstream
from portal.upstream.failures import UpstreamFailure
from shared_auth.vault.credential import Credentials


@dataclass(frozen=True, slots=True)
class Accounts:
    """``credentials`` gives the credentials of the upstream of a name, ``page`` the address where people connect."""

    credentials: Callable[[str], Credentials]
    page: Callable[[str], str]


def connect_failure(upstream: str, configured: Upstream, accounts: Accounts | None) -> UpstreamFailure:
    """Return what a program is told when ``upstream`` says that the caller's account is not connected."""
    if configured.credential != "person" or accounts is None:
        return UpstreamFailure(
            upstream, "forbidden", "the server has no account to act with, and none can be connected"
        )
    page = accounts.page(upstream)
    message = f"Your {upstream} account is not connected: open {page}, then run the program again"
    return UpstreamFailure(upstream, "connect", message)
