"""Judge descriptor YAML."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import tool
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.file_models import MissingTarget, ValidationResult


@tool(effect="read", scope="catalog:read")
async def validate_entity(
    client: Catalog, yaml: Annotated[str, Field(min_length=1, max_length=200_000, description="One or more documents.")]
) -> ValidationResult:
    """Check catalog-info YAML against the rules, with the line of every fault, without storing anything.

    Use it before committing a catalog-info.yaml. Files that it names are not read.
    """
    judged = await client.validate(yaml)
    return ValidationResult(
        valid=not judged.problems,
        entities=list(judged.entities),
        problems=views.problems(judged.problems),
        missing_targets=[MissingTarget(source=s, type=k, target=t) for s, k, t in judged.missing[:100]],
    )
