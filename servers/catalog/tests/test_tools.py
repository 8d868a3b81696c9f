"""Every tool on the demo company, called as a program calls it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from servers._kit.testing import ToolError


def refs(page: Any) -> list[str]:
    return [item["ref"] for item in page["items"]]


@pytest.mark.parametrize(
    ("term", "kinds", "first"),
    [
        ("checkout-api", [], "component:default/checkout-api"),
        ("likely fraud payment", ["API"], "api:default/fraud-api"),
        ("basket guests", ["Component"], "component:default/cart-api"),
        ("esther owusu", [], "user:default/esther"),
        ("esther@acme.test", [], "user:default/esther"),
        ("opensearch", [], "resource:default/product-search-index"),
        ("recommend", ["Component"], "component:default/recommender"),
    ],
)
async def test_search_finds_by_words_best_first(demo: Any, term: str, kinds: list[str], first: str) -> None:
    async with demo() as catalog:
        found = await catalog.call("search_entities", term=term, kinds=kinds)
        assert refs(found)[0] == first
        scores = [item["score"] for item in found["items"]]
        assert scores == sorted(scores, reverse=True)
        assert all(item["matched"] for item in found["items"])


async def test_search_for_what_nobody_wrote_finds_nothing(demo: Any) -> None:
    async with demo() as catalog:
        for term in ("zzzzzz", "!!!", "\u202e", "x" * 300):
            assert (await catalog.call("search_entities", term=term))["items"] == []


async def test_queries_filter_order_select_and_page(demo: Any) -> None:
    filters = [
        {"field": "spec.type", "equals": "service"},
        {"any_of": [{"field": "metadata.tags", "equals": "go"}, {"field": "metadata.tags", "equals": "rust"}]},
    ]
    async with demo() as catalog:
        seen: list[str] = []
        page = None
        while True:
            found = await catalog.call(
                "query_entities", kind="component", filters=filters, fields=["metadata.tags"], order=["-metadata.name"],
                limit=4, page=page,
            )  # fmt: skip
            assert all(set(item["fields"]["metadata.tags"]) & {"go", "rust"} for item in found["items"])
            seen += [item["name"] for item in found["items"]]
            page = found["next_page"]
            if page is None:
                break
        assert len(seen) == found["total"] == len(set(seen)) > 8
        assert seen == sorted(seen, reverse=True)


async def test_entities_without_the_field_come_last_in_both_directions(demo: Any) -> None:
    async with demo() as catalog:
        for order in ("spec.lifecycle", "-spec.lifecycle"):
            found = await catalog.call("query_entities", order=[order], limit=200)
            lifecycles = [item["lifecycle"] for item in found["items"]]
            having = [value for value in lifecycles if value is not None]
            assert lifecycles[: len(having)] == having
            assert having == sorted(having, reverse=order.startswith("-"))


async def test_a_filter_that_says_two_things_is_refused_by_name(demo: Any) -> None:
    async with demo() as catalog:
        with pytest.raises(ToolError, match="filters"):
            await catalog.call("query_entities", filters=[{"field": "kind"}])


@pytest.mark.parametrize("page", ["x", "-1", "9" * 50, "1.5"])
async def test_a_token_that_nobody_gave_is_refused(demo: Any, page: str) -> None:
    async with demo() as catalog:
        for tool, arguments in [("query_entities", {}), ("search_entities", {"term": "api"}), ("list_apis", {})]:
            with pytest.raises(ToolError, match="invalid"):
                await catalog.call(tool, page=page, **arguments)


@pytest.mark.parametrize(
    "text",
    [
        "checkout-api", "component:checkout-api", "Component:Default/Checkout-API", "default/checkout-api",
        "https://backstage.acme.test/catalog/default/component/checkout-api/ci-cd",
    ],
)  # fmt: skip
async def test_an_entity_has_many_names(demo: Any, text: str) -> None:
    async with demo() as catalog:
        found = await catalog.call("get_entity", ref=text)
    assert (found["ref"], found["owner"], found["system"], found["tier"], found["type"]) == (
        "component:default/checkout-api", "group:default/checkout", "system:default/checkout", "1", "service",
    )  # fmt: skip
    assert all(relation["exists"] for relation in found["relations"])


async def test_a_long_definition_is_left_out_and_named(demo: Any) -> None:
    async with demo() as catalog:
        found = await catalog.call("get_entity", ref="orders-api")
        assert (found["omitted"], "definition" in found["spec"]) == (["spec.definition"], False)
        picked = await catalog.call("get_entity", ref="orders-api", fields=["spec.definition", "spec.nobody"])
        assert picked["fields"]["spec.definition"].startswith("openapi: 3.1.0")
        assert (picked["fields"]["spec.nobody"], picked["spec"], picked["relations"]) == (None, {}, [])


async def test_what_is_not_there_is_not_found_with_what_was_meant(demo: Any) -> None:
    async with demo() as catalog:
        with pytest.raises(ToolError, match="did you mean component:default/checkout-api") as missing:
            await catalog.call("get_entity", ref="component:chekout-api")
        assert missing.value.kind == "not_found"
        with pytest.raises(ToolError, match=r"may mean group:default/checkout, system:default/checkout"):
            await catalog.call("get_entity", ref="checkout")
        with pytest.raises(ToolError, match="this tool wants a system"):
            await catalog.call("get_system", system="component:checkout-api")
        with pytest.raises(ToolError, match="invalid"):
            await catalog.call("get_entity", ref="a:b:c:d")


async def test_many_entities_come_in_order_with_null_for_the_missing(demo: Any) -> None:
    async with demo() as catalog:
        found = await catalog.call("get_entities", refs=["cart-api", "component:nobody", "orders-db"])
        assert [entity and entity["name"] for entity in found] == ["cart-api", None, "orders-db"]


async def test_facets_count_what_is_there(demo: Any) -> None:
    async with demo() as catalog:
        rule = {"field": "kind", "equals": "API"}
        found = await catalog.call("list_facets", facets=["spec.type", "spec.nobody"], filters=[rule])
        counts = {(item["facet"], item["value"]): item["count"] for item in found["items"]}
        apis = await catalog.call("list_apis", limit=200)
        assert sum(counts.values()) == apis["total"]
        assert counts["spec.type", "grpc"] == (await catalog.call("list_apis", type="GRPC"))["total"]


async def test_an_owner_can_be_reached(demo: Any) -> None:
    async with demo() as catalog:
        owner = await catalog.call("get_owner", ref="checkout-api")
        assert (owner["ref"], owner["email"], owner["parent"]) == (
            "group:default/checkout", "team-checkout@acme.test", "group:default/commerce-department",
        )  # fmt: skip
        assert {link["type"] for link in owner["links"]} == {"chat", "on-call"}
        assert "esther@acme.test" in [member["email"] for member in owner["members"]]
        assert (await catalog.call("get_owner", ref="user:esther"))["members"][0]["ref"] == "user:default/esther"
        with pytest.raises(ToolError, match="has no owner"):
            await catalog.call("get_owner", ref="location:all")


async def test_a_department_owns_through_its_teams_when_asked(demo: Any) -> None:
    async with demo() as catalog:
        own = await catalog.call("list_owned_entities", owner="commerce-department")
        below = await catalog.call(
            "list_owned_entities",
            owner="commerce-department",
            include_child_groups=True,
            kinds=["Component"],
            limit=200,
        )
        assert {item["kind"] for item in own["items"]} == {"Domain"}
        assert {item["kind"] for item in below["items"]} == {"Component"}
        assert {"component:default/checkout-api", "component:default/search-service"} <= set(refs(below))


async def test_a_group_has_its_place(demo: Any) -> None:
    async with demo() as catalog:
        group = await catalog.call("get_group", group="commerce-department")
        assert group["parent"] == "group:default/acme"
        assert "group:default/checkout" in group["children"]
        team = await catalog.call("get_group", group="https://b.test/catalog/default/group/checkout")
        assert team["owned"] == (await catalog.call("list_owned_entities", owner="group:checkout"))["total"]


@pytest.mark.parametrize("text", ["esther", "ESTHER@acme.test", "user:default/esther", "owusu est", "Esther Owusu"])
async def test_a_person_is_found_by_any_of_their_names(demo: Any, text: str) -> None:
    async with demo() as catalog:
        found = await catalog.call("find_person", person=text)
        assert [(p["email"], p["groups"]) for p in found["items"]] == [("esther@acme.test", ["group:default/checkout"])]
        assert "component:default/checkout-api" in found["items"][0]["owns"]


async def test_nobody_is_found_by_wildcards_alone(demo: Any) -> None:
    async with demo() as catalog:
        assert (await catalog.call("find_person", person="***"))["items"] == []
        assert (await catalog.call("find_person", person="nobody@acme.test"))["items"] == []


async def test_dependencies_and_dependents_are_each_other_s_mirror(demo: Any) -> None:
    async with demo() as catalog:
        needs = await catalog.call("list_dependencies", ref="checkout-api")
        assert {(e["type"], e["target"]) for e in needs["items"]} >= {
            ("dependsOn", "resource:default/checkout-db"),
            ("consumesApi", "api:default/orders-api"),
        }
        for edge in needs["items"]:
            back = await catalog.call("list_dependents", ref=edge["target"], limit=200)
            assert "component:default/checkout-api" in [e["target"] for e in back["items"]]


async def test_deeper_dependencies_go_through_apis_to_their_providers(demo: Any) -> None:
    async with demo() as catalog:
        found = await catalog.call("list_dependencies", ref="web-shop", depth=3, limit=200)
        edges = {(e["source"], e["type"], e["target"], e["depth"]) for e in found["items"]}
        assert ("api:default/storefront-graphql", "apiProvidedBy", "component:default/storefront-bff", 2) in edges
        assert ("component:default/storefront-bff", "consumesApi", "api:default/orders-api", 3) in edges


async def test_a_walk_keeps_its_types_direction_and_bounds(demo: Any) -> None:
    async with demo() as catalog:
        out = await catalog.call("walk_relations", ref="system:checkout", types=["hasPart"], depth=1)
        back = await catalog.call(
            "walk_relations", ref="system:checkout", types=["partOf"], direction="incoming", depth=1
        )
        assert out == back
        assert {edge["type"] for edge in out["edges"]} == {"hasPart"}
        small = await catalog.call("walk_relations", ref="system:checkout", direction="both", depth=5, max_nodes=7)
        assert (len(small["nodes"]), small["truncated"]) == (7, True)
        known = {node["ref"] for node in small["nodes"]}
        assert all({edge["source"], edge["target"]} <= known for edge in small["edges"])


async def test_the_impact_of_a_database_reaches_those_who_call_its_services(demo: Any) -> None:
    async with demo() as catalog:
        report = await catalog.call("get_impact", ref="accounts-db", depth=3)
        affected = {node["ref"] for node in report["affected"]}
        assert {"component:default/account-service", "component:default/payments-api"} <= affected
        assert report["total"] == len(affected) == sum(group["count"] for group in report["by_owner"])
        assert report["total"] == sum(group["count"] for group in report["by_tier"])
        assert [group["tier"] for group in report["by_tier"]] == ["1", "2"]
        nearer = await catalog.call("get_impact", ref="accounts-db", depth=1)
        assert {node["ref"] for node in nearer["affected"]} < affected
        assert nearer["direct"] == nearer["total"]


async def test_the_impact_of_a_system_is_that_of_its_parts_without_them(demo: Any) -> None:
    async with demo() as catalog:
        report = await catalog.call("get_impact", ref="system:payments")
        affected = {node["ref"] for node in report["affected"]}
        assert "component:default/checkout-api" in affected
        parts = await catalog.call("get_system", system="payments")
        assert affected.isdisjoint(
            item["ref"] for group in ("components", "apis", "resources") for item in parts[group]
        )


async def test_paths_are_shortest_and_connected(demo: Any) -> None:
    async with demo() as catalog:
        paths = await catalog.call("find_path", source="web-shop", target="inventory-db")
        assert paths
        for path in paths:
            assert path["length"] == len(path["edges"]) == len(path["refs"]) - 1 == paths[0]["length"]
            assert (path["refs"][0], path["refs"][-1]) == (
                "component:default/web-shop",
                "resource:default/inventory-db",
            )
            for edge, (source, target) in zip(
                path["edges"], zip(path["refs"], path["refs"][1:], strict=False), strict=True
            ):
                assert (edge["source"], edge["target"]) == (source, target)
        assert len({tuple(path["refs"]) for path in paths}) == len(paths)
        assert await catalog.call("find_path", source="inventory-db", target="web-shop") == []
        assert await catalog.call("find_path", source="inventory-db", target="web-shop", along="any") != []
        assert await catalog.call("find_path", source="web-shop", target="web-shop") == []


async def test_apis_are_listed_by_type_system_and_owner(demo: Any) -> None:
    async with demo() as catalog:
        found = await catalog.call("list_apis", system="checkout", owner="checkout", type="openapi")
        assert [item["name"] for item in found["items"]] == ["cart-http-api", "checkout-http-api", "vouchers-api"]
        cart = found["items"][0]
        assert (cart["providers"], cart["consumers"]) == (["component:default/cart-api"], 2)
        consumers = await catalog.call("list_api_consumers", api="cart-http-api")
        assert refs(consumers) == ["component:default/checkout-api", "component:default/storefront-bff"]


async def test_a_definition_is_a_list_of_operations_that_can_be_narrowed(demo: Any) -> None:
    async with demo() as catalog:
        found = await catalog.call("get_api_definition", api="orders-api", match="POST order")
        assert [o["name"] for o in found["operations"]] == ["createOrder", "cancelOrder"]
        assert (found["raw"], found["problem"], found["truncated"]) == (None, None, False)
        cut = await catalog.call("get_api_definition", api="orders-api", limit=2)
        assert (len(cut["operations"]), cut["total_operations"], cut["truncated"]) == (2, 5, True)
        text, start = "", 0
        while True:
            part = await catalog.call("get_api_definition", api="pricing-api", format="raw", start=start, max_chars=200)
            text, start = text + part["raw"], start + 200
            if not part["truncated"]:
                break
        assert len(text) == part["raw_chars"]
        assert text.rstrip().endswith("}")


async def test_a_system_and_the_domains_show_their_parts(demo: Any) -> None:
    async with demo() as catalog:
        system = await catalog.call("get_system", system="checkout")
        assert system["domain"] == "domain:default/commerce"
        assert "checkout-api" in [part["name"] for part in system["components"]]
        assert "checkout-db" in [part["name"] for part in system["resources"]]
        tree = await catalog.call("list_domains")
        commerce = next(domain for domain in tree["domains"] if domain["ref"] == "domain:default/commerce")
        assert "system:default/checkout" in refs({"items": commerce["systems"]})
        assert tree["systems_without_domain"] == []


async def test_tool_links_and_back(demo: Any) -> None:
    async with demo() as catalog:
        links = await catalog.call("get_tool_links", ref="checkout-api")
        assert (links["gitlab_project"], links["sentry_project"], links["jira_project"]) == (
            "acme/checkout/checkout-api", "acme/checkout-api", "CHK",
        )  # fmt: skip
        assert links["prometheus_selector"] == '{service="checkout-api"}'
        assert links["runbooks"] == ["https://runbooks.acme.test/checkout-api"]
        assert links["dashboards"] == ["https://grafana.acme.test/d/checkout-api"]
        back = await catalog.call(
            "find_entity_by_annotation", annotation="gitlab.com/project-slug", value=links["gitlab_project"]
        )
        assert refs(back) == ["component:default/checkout-api"]
        anyone = await catalog.call("find_entity_by_annotation", annotation="prometheus.io/labels", limit=200)
        assert "component:default/checkout-api" in refs(anyone)


async def test_scores_say_what_is_missing(demo: Any) -> None:
    async with demo() as catalog:
        results = (await catalog.call("get_scores", ref="push-sender"))["items"]
        assert {r["check"]: r["passed"] for r in results}["has-runbook"] is False
        reason = next(r["reason"] for r in results if r["check"] == "has-runbook")
        assert reason == "metadata.annotations.acme.test/runbook is not there"
        one = (await catalog.call("get_scores", ref="push-sender", checks=["has-tier"]))["items"]
        assert [(r["check"], r["passed"]) for r in one] == [("has-tier", True)]
        failing = (await catalog.call("list_failing_checks", check="has-runbook"))["items"]
        assert "component:default/push-sender" in [r["ref"] for r in failing]
        assert all(not r["passed"] and r["check"] == "has-runbook" for r in failing)
        mine = (await catalog.call("list_failing_checks", owner="messaging", system="notifications"))["items"]
        assert [r["ref"] for r in mine] == ["component:default/push-sender"]
        assert len((await catalog.call("list_checks"))["items"]) >= 8
        with pytest.raises(ToolError, match="no check"):
            await catalog.call("get_scores", ref="push-sender", checks=["nobody"])


async def test_many_callers_at_once_all_get_answers(demo: Any) -> None:
    async with demo(refresh_s=0) as catalog:
        found = await asyncio.gather(*(catalog.call("get_entity", ref="checkout-api") for _ in range(50)))
        assert {entity["ref"] for entity in found} == {"component:default/checkout-api"}


@pytest.mark.parametrize(
    "text", ["../../etc/passwd", "x" * 500, "\x00", "component:../x", "https://[", "{{7*7}}", "' OR 1=1"]
)
async def test_hostile_references_are_refused_or_not_found_by_every_tool(demo: Any, text: str) -> None:
    names = {"ref", "api", "group", "system", "owner", "source"}
    async with demo() as catalog:
        for tool in await catalog.tools():
            properties = tool.input_schema["properties"]
            for name in names & properties.keys():
                arguments = {name: text, **({"target": text} if name == "source" else {})}
                with pytest.raises(ToolError) as refused:
                    await catalog.call(tool.name, **arguments)
                assert refused.value.kind in {"invalid", "not_found"}, tool.name
