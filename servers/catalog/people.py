"""Teams and people: who is in a group, which groups lie below it, what a person and their groups own."""

from __future__ import annotations

from servers.catalog import views
from servers.catalog.contract import Catalog, Entity
from servers.catalog.graph import walk
from servers.catalog.models import Owner, Person, PersonRef
from servers.catalog.predicates import Filter, field_is

MAX_MEMBERS = 200
MAX_OWNED = 50
MAX_PEOPLE = 500
MAX_GROUPS = 1_000
GROUP_DEPTH = 20


async def members_of(catalog: Catalog, group: Entity) -> list[PersonRef]:
    """Return the people of a group that the catalog knows, at most MAX_MEMBERS."""
    found = await views.by_ref(catalog, group.targets("hasMember")[:MAX_MEMBERS])
    return [views.person(entity) for entity in found.values()]


async def owner_of(catalog: Catalog, ref: str) -> Owner:
    """Return an owner; one that nobody declares is shown as not existing, for its name may still help."""
    entity = (await catalog.by_refs([ref]))[0]
    if entity is None:
        return Owner(
            ref=ref, exists=False, kind=views.kind_of(ref), name=ref.rpartition("/")[2], title=None, description=None,
            email=None, parent=None, members=[], links=[],
        )  # fmt: skip
    members = await members_of(catalog, entity) if entity.kind == "Group" else [views.person(entity)]
    return Owner(
        ref=entity.ref,
        exists=True,
        kind=entity.kind,
        name=entity.name,
        title=views.title(entity),
        description=views.text(entity, "metadata.description"),
        email=views.text(entity, "spec.profile.email"),
        parent=next(iter(entity.targets("childOf")), None),
        members=members,
        links=views.links(entity),
    )


async def with_child_groups(catalog: Catalog, entity: Entity) -> list[str]:
    """Return the refs of an owner and of all groups below it."""
    found = await walk(catalog, [entity], ["parentOf"], depth=GROUP_DEPTH, max_nodes=MAX_GROUPS)
    return list(found.nodes)


async def people_like(catalog: Catalog, text: str) -> list[Entity]:
    """Return the users whom an email, a user name or a part of either or of the display name means."""
    wanted = text.strip().removeprefix("user:").removeprefix("default/")
    exact = Filter(any_of=[field_is("spec.profile.email", wanted), field_is("metadata.name", wanted)])
    found = await catalog.query([field_is("kind", "user"), exact], limit=MAX_PEOPLE)
    if found.entities:
        return list(found.entities)
    # Each word must stand somewhere in the name or email, so that "smith jane" finds Jane Smith.
    fields = ("metadata.name", "metadata.title", "spec.profile.displayName", "spec.profile.email")
    words = [word.replace("*", "") for word in wanted.split()][:10]
    parts = [Filter(any_of=[Filter(field=f, matches=f"*{word}*") for f in fields]) for word in words if word]
    if not parts:
        return []
    return list((await catalog.query([field_is("kind", "user"), *parts], limit=MAX_PEOPLE)).entities)


async def person_view(catalog: Catalog, user: Entity) -> Person:
    """Return a person with their groups and what those own."""
    groups = user.targets("memberOf")
    owned = await catalog.query([field_is("relations.ownedBy", user.ref, *groups[:99])], limit=MAX_OWNED)
    brief = views.person(user)
    return Person(
        ref=brief.ref,
        name=brief.name,
        email=brief.email,
        title=views.text(user, "metadata.description"),
        groups=groups,
        owns=[entity.ref for entity in owned.entities],
        owns_total=owned.total,
    )
