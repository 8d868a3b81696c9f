"""The inputs that many tools share, bounded and described once."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

MAX_REF_CHARS = 500

EntityRef = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_REF_CHARS,
        description="Entity ref (component:default/checkout-api), bare name, or Backstage web URL.",
    ),
]
GroupRef = Annotated[
    str, Field(min_length=1, max_length=MAX_REF_CHARS, description="Group name, ref or Backstage web URL.")
]
OwnerRef = Annotated[
    str, Field(min_length=1, max_length=MAX_REF_CHARS, description="Group or user: name, ref or Backstage web URL.")
]
SystemRef = Annotated[
    str, Field(min_length=1, max_length=MAX_REF_CHARS, description="System name, ref or Backstage web URL.")
]
ApiRef = Annotated[
    str, Field(min_length=1, max_length=MAX_REF_CHARS, description="API name, ref or Backstage web URL.")
]
Kind = Annotated[str, Field(min_length=1, max_length=63)]
Kinds = Annotated[list[Kind], Field(max_length=20, description="Only these kinds, such as Component, API, System.")]
Path = Annotated[str, Field(min_length=1, max_length=300)]
Depth = Annotated[int, Field(ge=1, le=5, description="Steps to follow; 1 is direct only.")]
PageToken = Annotated[str | None, Field(max_length=100, description="next_page of the answer before.")]
Limit = Annotated[int, Field(ge=1, le=200)]
RelationType = Literal[
    "ownedBy",
    "ownerOf",
    "dependsOn",
    "dependencyOf",
    "providesApi",
    "apiProvidedBy",
    "consumesApi",
    "apiConsumedBy",
    "partOf",
    "hasPart",
    "childOf",
    "parentOf",
    "memberOf",
    "hasMember",
]
