"""What is true in the demo company, read from its files and its vendors: no server of ours in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import yaml

_KINDS = {"dependsOn": "component", "consumesApis": "api", "providesApis": "api"}


@dataclass(frozen=True)
class Truth:
    """``folder`` holds the company's files, the addresses its Prometheus and its Alertmanager."""

    folder: Path
    url: str
    alertmanager_url: str

    @cached_property
    def entities(self) -> dict[str, dict[str, Any]]:
        """Every entity by its ref, as ``component:checkout-api``."""
        return {f"{d['kind'].lower()}:{d['metadata']['name']}": d for d in self._documents()}

    def of_kind(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the entities of one kind by name."""
        return {ref.split(":")[1]: found for ref, found in self.entities.items() if ref.startswith(f"{kind}:")}

    def owner(self, name: str, kind: str = "component") -> str:
        """Return the name of the group that owns an entity."""
        return str(self.entities[f"{kind}:{name}"]["spec"]["owner"]).rsplit("/", 1)[-1]

    def chat(self, group: str) -> str:
        """Return the title of a group's chat channel."""
        links = self.entities[f"group:{group}"]["metadata"]["links"]
        return next(str(link["title"]) for link in links if link["type"] == "chat")

    def needs(self, ref: str) -> set[str]:
        """Return what an entity depends on directly, by ref: for an API, whoever provides it."""
        if ref.startswith("api:"):
            return {
                f"component:{n}" for n, e in self.of_kind("component").items() if ref in self._refs(e, "providesApis")
            }
        entity = self.entities[ref]
        return self._refs(entity, "dependsOn") | self._refs(entity, "consumesApis")

    def dependents(self, ref: str, depth: int) -> set[str]:
        """Return everything that depends on an entity over at most ``depth`` steps."""
        found: set[str] = set()
        edge = {ref}
        for _ in range(depth):
            edge = {
                r for r in self.entities if r.split(":")[0] in {"component", "api", "resource"} and self.needs(r) & edge
            }
            edge -= found | {ref}
            found |= edge
        return found

    def values(self, expression: str, label: str = "service") -> dict[str, float]:
        """Return the value of each series of a PromQL expression now, by one label."""
        found = self._get(f"{self.url}/api/v1/query", query=expression)["data"]["result"]
        return {sample["metric"].get(label, ""): float(sample["value"][1]) for sample in found}

    def alerts(self) -> list[dict[str, Any]]:
        """Return the firing alerts."""
        found: list[dict[str, Any]] = self._get(f"{self.url}/api/v1/alerts")["data"]["alerts"]
        return [alert for alert in found if alert["state"] == "firing"]

    def rule(self, name: str) -> dict[str, Any]:
        """Return one alerting rule."""
        groups = self._get(f"{self.url}/api/v1/rules")["data"]["groups"]
        return next(rule for group in groups for rule in group["rules"] if rule["name"] == name)

    def series_by_metric(self) -> list[tuple[str, int]]:
        """Return the metrics with most series."""
        found = self._get(f"{self.url}/api/v1/status/tsdb")["data"]["seriesCountByMetricName"]
        return [(entry["name"], entry["value"]) for entry in found]

    def silences(self) -> list[dict[str, Any]]:
        """Return the silences that are in force."""
        found: list[dict[str, Any]] = self._get(f"{self.alertmanager_url}/api/v2/silences")
        return [silence for silence in found if silence["status"]["state"] == "active"]

    def operations(self, definition: str) -> list[tuple[str, str]]:
        """Return (method, path) of every operation of an OpenAPI file."""
        [path] = self.folder.glob(f"catalog-info/*/definitions/{definition}")
        paths = yaml.safe_load(path.read_text(encoding="utf-8"))["paths"]
        methods = {"get", "put", "post", "delete", "patch", "head", "options"}
        return [(method, place) for place, found in paths.items() for method in found if method in methods]

    def _documents(self) -> Iterator[dict[str, Any]]:
        for path in [*self.folder.glob("catalog-info/**/*.yaml"), *self.folder.glob("servers/*/catalog-info.yaml")]:
            for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
                if isinstance(document, dict) and {"kind", "metadata"} <= set(document):
                    yield document

    @staticmethod
    def _refs(entity: dict[str, Any], relation: str) -> set[str]:
        named = (str(name).replace(":default/", ":") for name in entity["spec"].get(relation, ()))
        return {name if ":" in name else f"{_KINDS[relation]}:{name}" for name in named}

    @staticmethod
    def _get(url: str, **params: str) -> Any:
        answer = httpx.get(url, params=params, timeout=60, trust_env=False)
        answer.raise_for_status()
        return answer.json()
