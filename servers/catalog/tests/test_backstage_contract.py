"""Our entities have the shape that Backstage's own API description gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from servers.catalog.folder import Folder
from servers.catalog.refs import make_ref
from servers.catalog.settings import CatalogSettings
from servers.catalog.snapshot import build

ROOT = Path(__file__).resolve().parents[3]
CONTRACT = ROOT.parent / "shared/contracts/backstage/catalog-backend-4.0.0.openapi.json"


@pytest.fixture(scope="module")
def contract() -> dict[str, Any]:
    if not CONTRACT.exists():
        pytest.skip("Backstage's API description is not here")
    found: dict[str, Any] = json.loads(CONTRACT.read_text(encoding="utf-8"))
    return found


def validator(contract: dict[str, Any], name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": contract["components"]})


def test_every_entity_of_the_demo_company_is_one_of_backstage_s(contract: dict[str, Any]) -> None:
    settings = CatalogSettings(folder=str(ROOT))
    judge = validator(contract, "Entity")
    entities = build(settings, Folder(ROOT, settings.max_file_bytes)).entities
    assert entities
    for entity in entities:
        relations = [{"type": r.type, "targetRef": r.target} for r in entity.relations]
        assert [e.message for e in judge.iter_errors({**entity.data, "relations": relations})] == [], entity.ref


def test_an_entity_as_backstage_answers_it_has_a_reference_of_ours(contract: dict[str, Any]) -> None:
    required = contract["components"]["schemas"]["Entity"]["required"]
    assert set(required) == {"metadata", "kind", "apiVersion"}
    assert str(make_ref("Component", "Default", "Shop")) == "component:default/shop"
