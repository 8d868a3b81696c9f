"""Who is asking: the one answer every room of the house uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CLIENT_SUBJECT = "client:"
"""How the subject of a client that acts for itself begins. No person's does (RFC 9068 section 5)."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A person (or headless caller) through one client, as a verified access token states it.

    Identity is the triple (issuer, subject, client): the same person through another agent is another principal.
    Holds no token and no secret, so it may be logged, audited and handed between rooms.
    """

    issuer: str
    subject: str
    client_id: str
    grant_id: str = ""
    scopes: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    name: str = ""
    email: str = ""
    client_name: str = field(default="", compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object from which from_json makes an equal principal."""
        return {
            "issuer": self.issuer,
            "subject": self.subject,
            "client_id": self.client_id,
            "grant_id": self.grant_id,
            "scopes": sorted(self.scopes),
            "groups": sorted(self.groups),
            "name": self.name,
            "email": self.email,
            "client_name": self.client_name,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Principal:
        """Return the principal that to_json wrote. Raises KeyError or TypeError for anything else."""
        return cls(
            issuer=value["issuer"],
            subject=value["subject"],
            client_id=value["client_id"],
            grant_id=value["grant_id"],
            scopes=frozenset(value["scopes"]),
            groups=frozenset(value["groups"]),
            name=value["name"],
            email=value["email"],
            client_name=value["client_name"],
        )
