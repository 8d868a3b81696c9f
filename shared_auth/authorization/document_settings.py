"""What the operator says about client ID metadata documents, refused at start when it cannot be meant."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared_auth.configuration import ConfigurationError


@dataclass(frozen=True, slots=True)
class DocumentSettings:
    """Which clients may be known by an https address. Raises ConfigurationError.

    ``hosts`` are the publishers to trust: a host name, or with a leading dot all names under it; none means any.
    ``fetch`` off, only the ``seeded`` documents (by client id) exist: a portal without a way out to the internet still
    knows its agents. ``private_networks`` are the internal ranges that a document may be fetched from; none by default.
    """

    hosts: frozenset[str] = frozenset()
    fetch: bool = True
    private_networks: tuple[str, ...] = ()
    seeded: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for host in self.hosts:
            if not host.removeprefix(".") or host != host.lower() or "/" in host or "*" in host:
                raise ConfigurationError(
                    "documents.hosts: must be lower-case host names, with a leading dot for all under it"
                )
        try:
            _ = self.networks
        except ValueError:
            raise ConfigurationError("documents.private_networks: must be networks such as 10.20.0.0/16") from None

    @property
    def networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """``private_networks``, parsed."""
        return tuple(ipaddress.ip_network(network) for network in self.private_networks)

    def trusts(self, host: str) -> bool:
        """Say whether ``host`` may publish clients."""
        return not self.hosts or any(host == one or (one.startswith(".") and host.endswith(one)) for one in self.hosts)
