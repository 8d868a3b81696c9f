"""The map of domains and systems."""

from __future__ import annotations

from servers._kit import tool
from servers.catalog import views
from servers.catalog.contract import Catalog, Entity
from servers.catalog.models import DomainNode, DomainTree, SystemRef
from servers.catalog.predicates import field_is

MAX_LISTED = 1_000


@tool(effect="read", scope="catalog:read")
async def list_domains(client: Catalog) -> DomainTree:
    """List every business domain with its subdomains and systems: the map of the whole company's software.

    Use it to get an overview first.
    """
    domains = await client.query([field_is("kind", "domain")], limit=MAX_LISTED)
    systems = await client.query([field_is("kind", "system")], limit=MAX_LISTED)
    nodes = [
        DomainNode(
            ref=domain.ref,
            title=views.title(domain),
            description=views.text(domain, "metadata.description"),
            owner=views.owner(domain),
            parent=views.part_of(domain, "domain"),
            subdomains=[ref for ref in domain.targets("hasPart") if views.kind_of(ref) == "domain"],
            systems=[_brief(s) for s in systems.entities if domain.ref in s.targets("partOf")],
        )
        for domain in domains.entities
    ]
    known = {node.ref for node in nodes}
    alone = [_brief(system) for system in systems.entities if known.isdisjoint(system.targets("partOf"))]
    return DomainTree(domains=nodes, systems_without_domain=alone)


def _brief(system: Entity) -> SystemRef:
    return SystemRef(
        ref=system.ref, title=views.title(system), owner=views.owner(system), parts=len(system.targets("hasPart"))
    )
