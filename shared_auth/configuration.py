"""What every settings object of the auth flow shares: how it refuses, and what counts as this machine or as safe."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


class ConfigurationError(ValueError):
    """The auth flow must not start like this. The message says which setting to change, never a secret's value."""


def is_loopback(host: str) -> bool:
    """Say whether a host name or address, with or without IPv6 brackets, is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_protected(url: object) -> bool:
    """Say whether ``url`` is an address that codes and secrets may travel to: https, or http on this machine.

    No user name, no fragment, no white space or control characters.
    """
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url or "#" in url:
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError for a port that is no port
    except ValueError:
        return False
    if not parts.hostname or "@" in parts.netloc or "\\" in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))
