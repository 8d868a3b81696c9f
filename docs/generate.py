"""`make docs`: write docs/configuration.md from the settings models and docs/deviations.md from
shared_auth/REQUIREMENTS.md, so that the pages cannot drift from what they tell.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from portal.sections import AuthClient, Upstream, VendorSection
from portal.settings import PREFIX, PortalSettings
from shared_auth.requirements import requirements

PAGE = Path(__file__).with_name("configuration.md")
HEAD = f"""# Configuration

Made by `make docs` from `portal/sections.py` and `portal/settings.py`; edit that.

Sources, the first that names a setting wins: `{PREFIX}…` environment variables (nested names joined with `__`, as in
`{PREFIX}LIMITS__WALL_S`), files in `{PREFIX}SECRETS_DIR`, `portal.toml` (or the file that
`{PREFIX}CONFIG` names). An unknown name is refused wherever it stands. `portal check` prints what is in force.

"""

DEVIATIONS = PAGE.with_name("deviations.md")
DEVIATIONS_HEAD = """# What the auth flow does not hold

Made by `make docs` from [shared_auth/REQUIREMENTS.md](../shared_auth/REQUIREMENTS.md); edit that. Every other line
there is held, and named by a test.

"""


def deviations() -> str:
    """Return the page of what is not held, and why."""
    lines = ["| id | level | source | what is asked | why not |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.id} | {one.level} | {one.source} | {one.behaviour} | {one.deviation} |"
        for one in requirements().values()
        if one.deviation
    ]
    return DEVIATIONS_HEAD + "\n".join(lines) + "\n"


def page() -> str:
    """Return the page of the configuration."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    lines += [_row(name, field) for name, field in _fields(PortalSettings, "") if name != "upstreams"]
    lines += ["", "## `[auth.clients.<id>]`", "", "A declared client needs no registration and never expires.", ""]
    lines += ["| setting | default | meaning |", "|---|---|---|"]
    lines += [_row(name, field) for name, field in _fields(AuthClient, "")]
    lines += ["", "## `[upstreams.<name>]`", "", "The name is the module that programs import.", ""]
    lines += ["| setting | default | meaning |", "|---|---|---|"]
    lines += [_row(name, field) for name, field in _fields(Upstream, "")]
    lines += ["", "## `[upstreams.<name>.oauth]`", "", cleandoc(str(VendorSection.__doc__)).replace("``", "`"), ""]
    lines += ["| setting | default | meaning |", "|---|---|---|"]
    lines += [_row(name, field) for name, field in _fields(VendorSection, "")]
    return HEAD + "\n".join(lines) + "\n"


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        inner = [one for one in get_args(kind) if isinstance(one, type) and issubclass(one, BaseModel)]
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _fields(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, field
            for section in inner if prefix else []:  # one that may be absent, as auth.oidc
                yield from _fields(section, f"{prefix}{name}.")


def _row(name: str, field: FieldInfo) -> str:
    return f"| `{name}` | {_default(field)} | {_meaning(field)} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if value is None or isinstance(value, SecretStr):
        return "none"
    return f"`{value}`" if not isinstance(value, list | dict) or value else "empty"


def _meaning(field: FieldInfo) -> str:
    bounds = []
    for item in field.metadata:
        for attribute, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"), ("min_length", "length ≥")):
            bound = getattr(item, attribute, None)
            if bound is not None:
                bounds.append(f"{sign} {bound}")
    choices = [str(a) for a in get_args(field.annotation) if isinstance(a, str)]
    parts = [(field.description or "").replace("|", "\\|"), " or ".join(f"`{c}`" for c in choices), ", ".join(bounds)]
    return ". ".join(part.rstrip(".") for part in parts if part)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    DEVIATIONS.write_text(deviations(), encoding="utf-8")
    sys.exit(0)
