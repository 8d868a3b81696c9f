"""The demo company in catalog-info/: whole, consistent, and joined to the other servers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from servers.catalog import apis
from servers.catalog.folder import Folder
from servers.catalog.settings import CatalogSettings
from servers.catalog.snapshot import Snapshot, build

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def acme() -> Snapshot:
    settings = CatalogSettings(folder=str(ROOT), scores="catalog-info/checks.yaml")
    return build(settings, Folder(ROOT, settings.max_file_bytes))


def test_no_file_has_a_problem(acme: Snapshot) -> None:
    assert [(p.file, p.line, p.message) for p in acme.problems] == []


def test_no_relation_leads_nowhere(acme: Snapshot) -> None:
    assert [(e.ref, r.type, r.target) for e in acme.entities for r in e.relations if r.target not in acme.by_ref] == []


def test_the_company_is_large_enough_to_be_interesting(acme: Snapshot) -> None:
    kinds = Counter(entity.kind for entity in acme.entities)
    least = {"Component": 44, "API": 12, "System": 8, "Domain": 3, "Resource": 15, "Group": 10, "User": 30}
    assert {kind: kinds[kind] for kind, count in least.items() if kinds[kind] < count} == {}
    assert Counter(e.spec["type"] for e in acme.entities if e.kind == "Component")["service"] >= 25


def test_every_service_is_named_in_its_metrics_as_in_the_catalog(acme: Snapshot) -> None:
    services = [e for e in acme.entities if e.kind == "Component" and e.spec["type"] == "service"]
    assert {e.name: e.annotations["prometheus.io/labels"] for e in services} == {
        e.name: f"service={e.name}" for e in services
    }


def test_every_component_of_the_company_has_its_keys_in_other_tools(acme: Snapshot) -> None:
    for entity in acme.entities:
        if entity.kind != "Component" or entity.spec["type"] == "mcp-server":
            continue
        assert entity.annotations["gitlab.com/project-slug"].startswith("acme/"), entity.ref
        assert entity.annotations["jira/project-key"].isupper(), entity.ref
        assert entity.metadata["labels"]["acme.test/tier"] in {"1", "2", "3"}, entity.ref
        if entity.spec["type"] in {"service", "website", "job", "mobile-app"}:
            assert entity.annotations["sentry.io/project-slug"] == f"acme/{entity.name}"


def test_every_api_is_provided_by_a_component_and_its_definition_can_be_read(acme: Snapshot) -> None:
    found = Counter[str]()
    for entity in acme.entities:
        if entity.kind == "API":
            assert entity.targets("apiProvidedBy"), entity.ref
            parsed = apis.parse(entity.spec["type"], entity.spec["definition"])
            assert len(parsed.operations) >= 2, entity.ref
            assert all(operation.summary for operation in parsed.operations), entity.ref
            found[entity.spec["type"]] += 1
    assert set(found) == {"openapi", "asyncapi", "graphql", "grpc"}


def test_every_team_has_people_and_every_person_a_team(acme: Snapshot) -> None:
    for entity in acme.entities:
        if entity.kind == "Group" and entity.spec["type"] == "team":
            assert entity.targets("hasMember"), entity.ref
            assert entity.targets("childOf"), entity.ref
        if entity.kind == "User":
            assert entity.targets("memberOf"), entity.ref


def test_every_system_has_a_domain_and_every_thing_an_owning_group(acme: Snapshot) -> None:
    for entity in acme.entities:
        if entity.kind == "System":
            assert any(ref.startswith("domain:") for ref in entity.targets("partOf")), entity.ref
        if entity.kind in {"Component", "API", "Resource", "System", "Domain"}:
            assert [ref.partition(":")[0] for ref in entity.targets("ownedBy")] == ["group"], entity.ref


def test_the_servers_of_this_repository_are_in_the_catalog(acme: Snapshot) -> None:
    parts = acme.by_ref["system:default/mcp-portal"].targets("hasPart")
    assert {"component:default/portal", "component:default/shared-auth", "component:default/mcp-server-catalog"} <= set(
        parts
    )
