"""What Backstage said when it was last asked, kept so that every test run can hold our catalog to it without Backstage.

It has the verdict on each descriptor, and each entity of the ``odd`` company with its relations.
"""

from __future__ import annotations

import json
from typing import Any

from tests.backstage.descriptors import DESCRIPTORS
from tests.backstage.oracle import HERE, Backstage
from tests.backstage.sides import LOCATION, place, plain, ref_of

FILE = HERE / "recorded.json"
ODD = f"file:{HERE.relative_to(HERE.parent.parent)}/odd/"


def asked(backstage: Backstage) -> str:
    """Return the text that the record should have now."""
    odd = [one for one in backstage.entities() if str(place(one["metadata"]["annotations"][LOCATION])).startswith(ODD)]
    record = {
        "entities": {ref_of(one): _kept(one) for one in odd},
        "verdicts": {name: backstage.fault(descriptor) is None for name, descriptor in DESCRIPTORS.items()},
    }
    return json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def kept() -> Any:
    """Return the record: ``{"entities": {ref: …}, "verdicts": {name: good}}``."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def _kept(entity: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": entity["apiVersion"],
        "kind": entity["kind"],
        "metadata": plain(entity["metadata"]),
        "spec": entity.get("spec"),
        "relations": [f"{relation['type']} {relation['targetRef']}" for relation in entity["relations"]],
    }
