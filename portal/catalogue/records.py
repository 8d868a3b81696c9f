"""What the portal knows of a tool and of a server. Immutable; a refresh makes new ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Effect = Literal["read", "write", "destructive"]
State = Literal["ready", "stale", "down"]


@dataclass(frozen=True, slots=True)
class Tool:
    """One upstream tool. ``name`` is the upstream's; ``python_name`` is what a program writes; both are unique in
    their server. ``parameters`` maps each Python parameter name to the upstream's property name, in stub order.
    """

    server: str
    name: str
    python_name: str
    description: str
    effect: Effect
    input_schema: Mapping[str, Any] = field(hash=False)
    output_schema: Mapping[str, Any] | None = field(default=None, hash=False)
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False)
    scope: str = ""
    title: str = ""

    @property
    def qualified(self) -> str:
        """The name as a program writes it: ``server.python_name``."""
        return f"{self.server}.{self.python_name}"


@dataclass(frozen=True, slots=True)
class ServerState:
    """One upstream as search shows it. ``name`` is a Python identifier: the module that programs import."""

    name: str
    summary: str = ""
    state: State = "ready"
    detail: str = ""
