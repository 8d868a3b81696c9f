"""Which addresses a client may name, which it then may use, and the only way an answer is put on one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
MAX_URI_CHARS = 2_000

_PRINTABLE = re.compile(r"[!#-;=?-\[\]_a-z~]+")  # URI characters of RFC 3986 and no quote, space, < > \ ^ ` { | }
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_ANSWER = frozenset({"code", "state", "iss", "error", "error_description", "error_uri", "scope"})
"""What the answer carries: a registered URI that brought one along could speak in our name (RFC 9207, mix-up)."""


def registrable(uri: str) -> bool:
    """Say whether a client may register ``uri``: https anywhere, http on this machine alone, nothing ambiguous."""
    if len(uri) > MAX_URI_CHARS or not _PRINTABLE.fullmatch(uri) or "#" in uri or "*" in uri:
        return False
    if not uri.startswith(("https://", "http://")):
        return False
    parts = _split(uri)
    if parts is None or "@" in parts.netloc or parts.netloc != parts.netloc.lower():
        return False
    host = parts.hostname or ""
    if _ANSWER & {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}:
        return False
    return host in LOOPBACK_HOSTS or (parts.scheme == "https" and _HOST.fullmatch(host) is not None)


def is_loopback(uri: str) -> bool:
    """Say whether ``uri`` ends on the person's own machine, where any program may be listening."""
    parts = _split(uri)
    return parts is not None and (parts.hostname or "") in LOOPBACK_HOSTS


def registered(uri: str, known: Iterable[str]) -> bool:
    """Say whether ``uri`` is one of ``known``: character for character, but any port for http on loopback.

    RFC 8252 section 7.3: a native client gets its port from the system at run time. ``localhost`` and
    ``127.0.0.1`` stay different names. What matches is again registrable, so a port cannot smuggle anything.
    """
    return any(uri == one or (_portless(one) == _portless(uri) != uri and registrable(uri)) for one in known)


def answer(uri: str, /, **parameters: str | None) -> str:
    """Return ``uri`` with ``parameters`` added to its query, each encoded; those that are None are left out."""
    query = urlencode({name: value for name, value in parameters.items() if value is not None})
    return f"{uri}{'&' if '?' in uri else '?'}{query}"


def host(uri: str) -> str:
    """Return host and port of a registrable ``uri`` for people to read."""
    return urlsplit(uri).netloc


def form_target(uri: str) -> str:
    """Return the CSP source that lets a form's answer redirect to a registrable ``uri``.

    Browsers apply ``form-action`` to the redirects that follow, too. CSP cannot name an IPv6 host.
    """
    parts = urlsplit(uri)
    return f"{parts.scheme}:" if "[" in parts.netloc else f"{parts.scheme}://{parts.netloc}"


def _split(uri: str) -> SplitResult | None:
    try:
        parts = urlsplit(uri)
        _ = parts.port  # raises ValueError for a port that is no port
    except ValueError:
        return None
    return parts


def _portless(uri: str) -> str:
    """Return ``uri`` without its port when RFC 8252 says that the port does not matter, else as it is."""
    parts = _split(uri)
    if parts is None or parts.scheme != "http" or parts.hostname not in LOOPBACK_HOSTS or "@" in parts.netloc:
        return uri
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"portless:{name}{uri.removeprefix(f'http://{parts.netloc}')}"
