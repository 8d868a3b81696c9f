"""The inputs that several tools share, with their bounds and their one-line explanations."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Promql = Annotated[str, Field(min_length=1, max_length=10_000, description="A PromQL expression.")]

Moment = Annotated[str, Field(max_length=40)] | Annotated[float, Field(ge=0, le=253_402_300_799)]
WHEN = "`now`, `-1h`, RFC 3339 or Unix seconds."

Duration = Annotated[str, Field(min_length=1, max_length=32, description="Such as 30s, 5m, 1h30m, 7d.")]

PageToken = Annotated[str | None, Field(max_length=500, description="next_page of the answer before.")]

Contains = Annotated[str, Field(max_length=200, description="Part of the name, upper or lower case.")]

Matchers = Annotated[
    list[Annotated[str, Field(max_length=2_000)]],
    Field(max_length=20, description='Label matchers, all of which must hold: `severity="page"`, `job=~"api.*"`.'),
]

Selectors = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=2_000)]],
    Field(max_length=20, description='Series selectors, any of which may match: `up`, `{job="api"}`.'),
]

RequiredSelectors = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=2_000)]],
    Field(min_length=1, max_length=20, description='Series selectors, any of which may match: `up`, `{job="api"}`.'),
]

LabelNames = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=10, description="Label names.")
]
