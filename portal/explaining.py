"""`portal policy explain`: may this person call this tool through this client, and which rule in which file says so."""

from __future__ import annotations

from collections.abc import Collection

from portal.app import open_catalogue
from portal.catalogue.records import Tool
from portal.catalogue.snapshot import Catalogue
from portal.policy.engine import Decision, Policy
from portal.settings import PortalSettings
from shared_auth.principal import Principal


async def explain(
    settings: PortalSettings, name: str, *, subject: str, groups: Collection[str], client_id: str
) -> tuple[str, bool]:
    """Return (what policy decides and why, whether the call may be made, if need be after a yes).

    Judges with the settings, the policy files and the catalogue as they are now. Calls nothing, starts no sandbox and
    leaves nothing on record.
    """
    policy = Policy.load(settings.policy.files, write_groups=frozenset(settings.policy.write_groups))
    async with open_catalogue(settings) as live:
        catalogue = live.current
    tool = catalogue.exact(name)
    if tool is None:
        return _unknown(catalogue, name), False
    principal = Principal(settings.issuer, subject, client_id, groups=frozenset(groups))
    decision = policy.decide(principal, tool)
    return _said(settings, policy, tool, principal, decision), decision.allowed


def _unknown(catalogue: Catalogue, name: str) -> str:
    for state in catalogue.states:
        if state.name == name.partition(".")[0] and state.state == "down":
            return f"no tool {name}: {state.name} is down ({state.detail}), and what it offers is not known"
    similar = catalogue.similar(name)
    meant = f"; did you mean {' or '.join(similar)}?" if similar else ""
    return f"no tool {name}{meant}"


def _said(settings: PortalSettings, policy: Policy, tool: Tool, principal: Principal, decision: Decision) -> str:
    verdict = "denied" if not decision.allowed else "allowed after a person's yes" if decision.asks else "allowed"
    lines = [f"{tool.qualified} ({tool.effect}) for {principal.subject}: {verdict}", f"  {decision.reason}"]
    lines += [f"  {found}: {policy.place_of(found)}" for found in decision.policy_ids]
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
