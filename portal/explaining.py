"""`portal policy explain`: may this person call this tool through this client, and which rule says so."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

from portal.app import open_portal
from portal.catalogue.records import Tool
from portal.policy.engine import Decision, Policy
from portal.settings import PortalSettings
from shared_auth.principal import Principal


async def explain(
    settings: PortalSettings, name: str, *, subject: str, groups: Collection[str], client_id: str
) -> tuple[str, bool]:
    """Return (what policy decides and why, whether the call may be made, if need be after a yes).

    Judges with the settings, the policy files and the catalogue as they are now, and calls nothing.
    """
    principal = Principal(settings.issuer, subject, client_id, groups=frozenset(groups))
    # A portal may be running on the same data_dir: demo vendors of this look keep theirs elsewhere.
    with tempfile.TemporaryDirectory() as folder:
        async with open_portal(settings, demo_dir=Path(folder)) as portal:
            catalogue = portal.catalogue.current
            tool = catalogue.exact(name)
            if tool is None:
                similar = catalogue.similar(name)
                meant = f"; did you mean {' or '.join(similar)}?" if similar else ""
                return f"no tool {name}{meant}", False
    policy = Policy.load(settings.policy.files, write_groups=frozenset(settings.policy.write_groups))
    decision = policy.decide(principal, tool)
    return _said(settings, tool, principal, decision), decision.allowed


def _said(settings: PortalSettings, tool: Tool, principal: Principal, decision: Decision) -> str:
    verdict = "denied" if not decision.allowed else "allowed after a person's yes" if decision.asks else "allowed"
    lines = [f"{tool.qualified} ({tool.effect}) for {principal.subject}: {verdict}", f"  {decision.reason}"]
    lines += [f"  asks: {reason}" for reason in decision.asks]
    lines += [f"  groups: {', '.join(sorted(principal.groups)) or 'none'}", f"  client: {principal.client_id}"]
    if not decision.allowed and not decision.policy_ids and tool.effect == "write":
        groups = ", ".join(settings.policy.write_groups)
        lines.append(f"  policy.write_groups may write: {groups or 'nobody'}")
    if decision.allowed:
        budget = settings.budget
        writes = f", {budget.writes_per_program} writes in one program" if tool.effect != "read" else ""
        lines.append(f"  budget: {budget.calls_per_minute} calls a minute{writes}")
    return "\n".join(lines)
