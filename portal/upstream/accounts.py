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
    """``credentials`` gives the credentials of the upstream of a name, ``page`` the address where people connect, and
    ``grantable`` which of the scopes that an upstream names, or of all if it names none, people may be asked for.
    """

    credentials: Callable[[str], Credentials]
    page: Callable[[str], str]
    grantable: Callable[[str, tuple[str, ...]], tuple[str, ...]]


def scope_failure(
    upstream: str, configured: Upstream, accounts: Accounts | None, scopes: tuple[str, ...]
) -> UpstreamFailure:
    """Return what is told when ``upstream`` says that the caller's account has granted too little: people are asked for
    nothing that the operator has not set, whatever a server says.
    """
    asked = accounts.grantable(upstream, scopes) if accounts is not None and configured.credential == "person" else ()
    if not asked:
        return UpstreamFailure(
            upstream, "forbidden", "the account was not granted what this takes, and the portal does not ask for it"
        )
    page = accounts.page(upstream) if accounts is not None else ""
    message = f"Your {upstream} account has not granted {', '.join(asked)}: open {page}, then run the program again"
    return UpstreamFailure(upstream, "scope", message, scopes=asked)


def connect_failure(upstream: str, configured: Upstream, accounts: Accounts | None) -> UpstreamFailure:
    """Return what a program is told when ``upstream`` says that the caller's account is not connected."""
    if configured.credential != "person" or accounts is None:
        return UpstreamFailure(
            upstream, "forbidden", "the server has no account to act with, and none can be connected"
        )
    page = accounts.page(upstream)
    message = f"Your {upstream} account is not connected: open {page}, then run the program again"
    return UpstreamFailure(upstream, "connect", message)
