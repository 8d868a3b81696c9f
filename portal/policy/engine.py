"""Decides whether a principal may use a tool, in Cedar: deny by default, forbid wins, and what fails is denied.

A permit with ``@ask("reason")`` allows a call only after a person's yes. Deny beats ask, and ask beats allow: one such
permit among those that apply is enough, so that a broad permit beside it cannot silence the question.

A decision depends on principal and tool alone, so it is kept; names from outside enter Cedar as JSON, never as text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import cedarpy
import structlog

from portal.policy.sources import Policies, read_policies
from portal.settings import ConfigurationError
from shared_auth.principal import CLIENT_SUBJECT, Principal

MAX_DECISIONS = 65_536
MAX_PEOPLE = 1_024

log = structlog.get_logger(__name__)


class PolicyTool(Protocol):
    """What policy knows of a tool."""

    @property
    def server(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def python_name(self) -> str: ...
    @property
    def effect(self) -> str: ...
    @property
    def scope(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Decision:
    """``policy_ids`` are the ``@id`` of the policies that decided: the permits, or the forbids; none by default deny.
    ``reason`` is for operators; it never reaches a program. ``asks`` are the reasons of ``@ask``, for the person whose
    yes an allowed call needs first; none: it needs no yes.
    """

    allowed: bool
    policy_ids: tuple[str, ...]
    reason: str
    asks: tuple[str, ...] = ()


_NO_PERMIT = Decision(allowed=False, policy_ids=(), reason="no policy permits it")
_FAILED = Decision(allowed=False, policy_ids=(), reason="a policy could not be evaluated")


class Policy:
    """The policies in force. Immutable; decisions are pure and kept in a bounded cache."""

    def __init__(self, read: Policies, *, write_groups: frozenset[str]) -> None:
        self._policies = read.policies
        self._asks = read.asks
        self._places = read.places
        writer = {"type": "Role", "id": "writer"}
        groups = [_entity("Group", group, parents=[writer]) for group in sorted(write_groups)]
        try:
            self._base = cedarpy.Entities.from_json_str(json.dumps([_entity("Role", "writer"), *groups]))
        except ValueError:
            raise ConfigurationError("policy.write_groups: a name in it is not valid Unicode text") from None
        # Most of a decision's cost is reading entities: those of a person are read once for all tools.
        self._people = lru_cache(maxsize=MAX_PEOPLE)(self._with_person)
        self._decide = lru_cache(maxsize=MAX_DECISIONS)(self._evaluate)

    @classmethod
    def load(cls, files: Sequence[Path], *, write_groups: frozenset[str]) -> Policy:
        """Return default.cedar and ``files`` in force. Raises ConfigurationError that names file and line."""
        return cls(read_policies(files), write_groups=write_groups)

    def place_of(self, policy_id: str) -> str:
        """Return file and line of the policy of this ``@id``, as in ``policies/team.cedar:12``."""
        return self._places[policy_id]

    def decide(self, principal: Principal, tool: PolicyTool) -> Decision:
        """Say whether ``principal`` may call ``tool``, and by which policies. Never raises: a failure is a denial."""
        return self._decide(
            principal.issuer,
            principal.subject,
            principal.client_id,
            principal.groups,
            tool.server,
            tool.python_name,
            tool.name,
            tool.effect,
            tool.scope,
        )

    def _with_person(self, issuer: str, subject: str, client: str, groups: frozenset[str]) -> cedarpy.Entities:
        who = _entity(
            _kind(subject),
            f"{issuer}#{subject}",
            attrs={"issuer": issuer, "subject": subject, "client": client},
            parents=[{"type": "Group", "id": group} for group in sorted(groups)],
        )
        return self._base.with_added_json_str(json.dumps([who]))

    def _evaluate(
        self,
        issuer: str,
        subject: str,
        client: str,
        groups: frozenset[str],
        server: str,
        python_name: str,
        name: str,
        effect: str,
        scope: str,
    ) -> Decision:
        what = _entity(
            "Tool",
            f"{server}.{python_name}",
            attrs={"name": name, "scope": scope},
            parents=[{"type": "Server", "id": server}],
        )
        request = {
            "principal": {"type": _kind(subject), "id": f"{issuer}#{subject}"},
            "action": {"type": "Action", "id": effect},
            "resource": what["uid"],
            "context": {},
        }
        try:
            entities = self._people(issuer, subject, client, groups).with_added_json_str(json.dumps([what]))
            result = cedarpy.is_authorized(request, self._policies, entities)
        except (ValueError, TypeError) as error:
            log.warning("policy.not_evaluated", tool=f"{server}.{python_name}", error=type(error).__name__)
            return _FAILED
        diagnostics = result.diagnostics
        if diagnostics.errors:
            # Cedar leaves out a policy that fails, a forbid too: what it would have forbidden must not be allowed.
            log.warning("policy.not_evaluated", tool=f"{server}.{python_name}", error="policy error")
            return _FAILED
        named = diagnostics.id_annotations_by_reason
        ids = tuple(sorted(named.get(found, found) for found in diagnostics.reasons))
        if result.allowed:
            asks = tuple(self._asks[name] for name in ids if name in self._asks)
            after = "; a person is asked first" if asks else ""
            return Decision(allowed=True, policy_ids=ids, reason=f"permitted by {', '.join(ids)}{after}", asks=asks)
        if ids:
            return Decision(allowed=False, policy_ids=ids, reason=f"forbidden by {', '.join(ids)}")
        return _NO_PERMIT


def _kind(subject: str) -> str:
    return "Client" if subject.startswith(CLIENT_SUBJECT) else "Principal"


def _entity(
    kind: str, identity: str, *, attrs: dict[str, str] | None = None, parents: Sequence[dict[str, str]] = ()
) -> dict[str, Any]:
    return {"uid": {"type": kind, "id": identity}, "attrs": attrs or {}, "parents": list(parents)}
