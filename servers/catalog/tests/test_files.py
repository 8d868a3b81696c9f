"""What the files say is what the tools say: loading, faults, substitutions, reloading."""

from __future__ import annotations

from typing import Any

import pytest

from servers._kit.testing import ToolError

COMPONENT = """
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {{name: {name}}}
spec: {{type: service, lifecycle: production, owner: team}}
"""
API = """
apiVersion: backstage.io/v1alpha1
kind: API
metadata: {name: it}
spec:
  type: openapi
  lifecycle: production
  owner: team
  definition:
    $text: %s
"""
LOCATION = """
apiVersion: backstage.io/v1alpha1
kind: Location
metadata: {{name: {name}}}
spec: {{targets: [{targets}]}}
"""


def component(name: str) -> str:
    return COMPONENT.format(name=name)


def location(name: str, *targets: str) -> str:
    return LOCATION.format(name=name, targets=", ".join(f'"{target}"' for target in targets))


async def refs(catalog: Any) -> list[str]:
    return [item["ref"] for item in (await catalog.call("query_entities", limit=200))["items"]]


async def problems(catalog: Any, ref: str) -> list[tuple[str, int | None, str]]:
    origin = await catalog.call("get_entity_origin", ref=ref)
    return [(p["file"], p["line"], p["message"]) for p in origin["problems"]]


async def test_locations_are_followed_once_also_in_circles(company: Any) -> None:
    company.write({
        "all.yaml": location("all", "./a/*.yaml", "all.yaml"),
        "a/loc.yaml": location("inner", "../all.yaml", "loc.yaml", "../b.yaml"),
        "b.yaml": component("b"),
        "c.yaml": component("c"),
    })  # fmt: skip
    async with company.open() as catalog:
        assert await refs(catalog) == ["component:default/b", "location:default/all", "location:default/inner"]
        origin = await catalog.call("get_entity_origin", ref="b")
        assert [(step["file"], step["ref"]) for step in origin["steps"]] == [
            ("all.yaml", "location:default/all"),
            ("a/loc.yaml", "location:default/inner"),
            ("b.yaml", "component:default/b"),
        ]


async def test_a_broken_entity_hides_only_itself_and_its_faults_have_file_and_line(company: Any) -> None:
    broken = component("bad").replace("type: service, ", "") + "---\nkind: [\n---\n" + component("fine")
    company.write({"all.yaml": location("all", "x.yaml"), "x.yaml": broken + "---\n" + component("good")})
    async with company.open() as catalog:
        assert await refs(catalog) == ["component:default/fine", "component:default/good", "location:default/all"]
        origin = await catalog.call("get_entity_origin", ref="component:bad")
        assert (origin["loaded"], origin["file"], origin["line"]) == (False, "x.yaml", 5)
        assert await problems(catalog, "component:bad") == [("x.yaml", 5, "spec.type: a Component needs type")]
        assert ("x.yaml", 8) in [(file, line) for file, line, _ in await problems(catalog, "good")]
        with pytest.raises(ToolError, match="not_found"):
            await catalog.call("get_entity", ref="component:bad")


async def test_two_entities_of_one_reference_are_a_problem_that_names_both_files(company: Any) -> None:
    company.write({
        "all.yaml": location("all", "1.yaml", "2.yaml"),
        "1.yaml": component("Same"),
        "2.yaml": "\n" + component("same"),
    })  # fmt: skip
    async with company.open() as catalog:
        assert (await catalog.call("get_entity", ref="same"))["name"] == "Same"
        found = await problems(catalog, "same")
        assert found == [
            ("2.yaml", 3, "component:default/same is declared already in 1.yaml, line 2; this one is left out")
        ]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("../secret.yaml", "outside the root folder"),
        ("/etc/*.yaml", "outside the root folder"),
        ("https://x.test/a.yaml", "not web addresses"),
        ("missing.yaml", "no such file"),
        ("none/*.yaml", "matches no file"),
        (".git/config.yaml", "hidden"),
        ("portal.toml", "files are read here"),
    ],
)
async def test_a_location_that_may_not_or_cannot_be_read_is_a_problem(company: Any, target: str, said: str) -> None:
    company.write({"all.yaml": location("all", target, "ok.yaml"), "ok.yaml": component("ok"), "portal.toml": "x"})
    (company.folder.parent / "secret.yaml").write_text(component("secret"))
    async with company.open() as catalog:
        assert await refs(catalog) == ["component:default/ok", "location:default/all"]
        found = await problems(catalog, "location:all")
        assert len(found) == 1
        assert said in found[0][2]


async def test_an_optional_location_may_be_missing(company: Any) -> None:
    optional = location("all", "gone.yaml").replace("targets", "presence: optional, targets")
    company.write({"all.yaml": optional})
    async with company.open() as catalog:
        assert await problems(catalog, "location:all") == []


async def test_placeholders_are_filled_from_files_beside_the_entity(company: Any) -> None:
    company.write({"all.yaml": location("all", "apis/it.yaml"), "apis/it.yaml": API % "../defs/it.yaml"})
    company.write(
        {"defs/it.yaml": "openapi: 3.1.0\ninfo: {title: It, version: '1'}\npaths: {/a: {get: {responses: {}}}}\n"}
    )
    async with company.open() as catalog:
        found = await catalog.call("get_api_definition", api="it")
        assert [(o["method"], o["path"]) for o in found["operations"]] == [("GET", "/a")]
        raw = await catalog.call("get_api_definition", api="it", format="raw", start=9, max_chars=100)
        assert raw["raw"].startswith("3.1.0")


async def test_json_and_yaml_placeholders_become_values(company: Any) -> None:
    company.write({"v.json": '{"a": "\\ud83d\\ude00"}', "v.yaml": "b: [1]", "bad.json": "{"})
    extra = "spec: {type: service, lifecycle: x, owner: t, j: {$json: v.json}, y: {$yaml: v.yaml}}"
    company.write(
        {"all.yaml": component("it").replace("spec: {type: service, lifecycle: production, owner: team}", extra)}
    )
    async with company.open() as catalog:
        spec = (await catalog.call("get_entity", ref="it"))["spec"]
        assert (spec["j"], spec["y"]) == ({"a": "😀"}, {"b": [1]})


async def test_only_a_mapping_of_one_known_placeholder_is_filled(company: Any) -> None:
    company.write({"x.txt": "X", "v.yaml": "c: {$text: x.txt}"})
    extra = (
        "spec: {type: s, lifecycle: x, owner: t, l: [{$text: x.txt}, {a: {$text: x.txt}}], two: {$text: x.txt, a: 1},"
        " other: {$foo: x.txt}, beside: {$bar: 1, a: {$text: x.txt}}, inside: {$yaml: v.yaml}}"
    )
    company.write(
        {"all.yaml": component("it").replace("spec: {type: service, lifecycle: production, owner: team}", extra)}
    )
    async with company.open() as catalog:
        spec = (await catalog.call("get_entity", ref="it"))["spec"]
        assert spec["l"] == ["X", {"a": "X"}]
        assert spec["two"] == {"$text": "x.txt", "a": 1}
        assert spec["other"] == {"$foo": "x.txt"}
        assert spec["beside"] == {"$bar": 1, "a": {"$text": "x.txt"}}
        assert spec["inside"] == {"c": {"$text": "x.txt"}}


async def test_a_placeholder_whose_target_is_no_text_is_a_fault(company: Any) -> None:
    company.write({"all.yaml": API % "1"})
    async with company.open() as catalog:
        assert await problems(catalog, "api:it") == [("all.yaml", 9, "spec.definition: $text: the target must be text")]


async def test_lists_of_references_are_sorted_and_other_lists_are_not(company: Any) -> None:
    more = "owner: team, dependsOn: ['resource:b', 'component:a', 'resource:A'], providesApis: [z, y], more: [b, a]"
    company.write({"all.yaml": component("it").replace("owner: team", more)})
    async with company.open() as catalog:
        spec = (await catalog.call("get_entity", ref="it"))["spec"]
        assert spec["dependsOn"] == ["component:a", "resource:A", "resource:b"]
        assert (spec["providesApis"], spec["more"]) == (["y", "z"], ["b", "a"])


async def test_facets_count_values_as_they_are_written_whatever_the_case_of_the_field(company: Any) -> None:
    more = "owner: team, Mixed: [One, two, [deep]], whole: 1.0, nothing: null, long: " + "x" * 201
    company.write({"all.yaml": component("it").replace("owner: team", more) + "---" + component("other")})
    async with company.open() as catalog:
        for field in ("KIND", "kind"):
            counted = (await catalog.call("list_facets", facets=[field]))["items"]
            assert [(one["value"], one["count"]) for one in counted] == [("Component", 2)]
        counted = await catalog.call("list_facets", facets=["spec.mixed", "spec.whole", "spec.nothing", "spec.long"])
        assert sorted((one["facet"], one["value"]) for one in counted["items"]) == [
            ("spec.mixed", "One"), ("spec.mixed", "deep"), ("spec.mixed", "two"), ("spec.whole", "1")
        ]  # fmt: skip


async def test_a_target_with_braces_stands_for_several(company: Any) -> None:
    files = {f"{name}.yaml": component(name.replace("/", "-")) for name in ("a/x", "b/x", "c/x", "one", "r1", "r3")}
    company.write({"all.yaml": location("all", "./{a,b}/*.yaml", "./{one,gone}.yaml", "./r{1..3}.yaml"), **files})
    async with company.open() as catalog:
        assert await refs(catalog) == [
            "component:default/a-x", "component:default/b-x", "component:default/one", "component:default/r1",
            "component:default/r3", "location:default/all",
        ]  # fmt: skip


@pytest.mark.parametrize(
    "target", ["../../secret.txt", "/etc/passwd", "https://x.test", ".env", "key.pem", "no.txt", "*.txt"]
)
async def test_a_placeholder_cannot_publish_other_files(company: Any, target: str) -> None:
    company.write({"all.yaml": API % f'"{target}"', ".env": "S3CRET", "key.pem": "S3CRET", "1.txt": "a", "2.txt": "b"})
    (company.folder.parent / "secret.txt").write_text("S3CRET")
    async with company.open() as catalog:
        found = await problems(catalog, "api:it")
        assert len(found) == 1
        assert found[0][2].startswith("spec.definition: $text: ")
        assert "S3CRET" not in str(found)


async def test_changes_are_seen_without_a_restart(company: Any) -> None:
    company.write({"all.yaml": location("all", "*.yaml"), "a.yaml": component("a")})
    async with company.open() as catalog:
        assert await refs(catalog) == ["component:default/a", "location:default/all"]
        company.write({"b.yaml": component("b"), "a.yaml": component("renamed")})
        assert await refs(catalog) == ["component:default/b", "component:default/renamed", "location:default/all"]
        (company.folder / "b.yaml").unlink()
        assert await refs(catalog) == ["component:default/renamed", "location:default/all"]


async def test_a_change_waits_for_the_refresh_unless_it_is_asked_for(company: Any) -> None:
    company.write({"all.yaml": component("a")})
    async with company.open(refresh_s=3_600) as catalog:
        company.write({"all.yaml": component("a") + "---\n" + component("b")})
        assert await refs(catalog) == ["component:default/a"]
        accepted = await catalog.call("refresh_entity", ref="component:b")
        assert (accepted["ref"], accepted["loaded"], accepted["problems"]) == ("component:default/b", True, [])
        assert await refs(catalog) == ["component:default/a", "component:default/b"]
        company.write({"all.yaml": component("a").replace("owner: team", "x: y")})
        assert (await catalog.call("refresh_entity", ref="a"))["loaded"] is False


async def test_the_bounds_on_files_and_entities_are_kept_and_shown(company: Any) -> None:
    company.write({"all.yaml": location("all", "d/*.yaml"), **{f"d/{i}.yaml": component(f"c{i}") for i in range(9)}})
    async with company.open(max_files=4) as catalog:
        assert len(await refs(catalog)) == 4
    async with company.open(max_entities=3) as catalog:
        assert len(await refs(catalog)) == 3


async def test_no_checks_are_run_and_the_reason_is_known_when_their_file_is_broken(company: Any) -> None:
    company.write({"all.yaml": component("a"), "checks.yaml": "checks: [{}]"})
    async with company.open(scores="checks.yaml") as catalog:
        assert (await catalog.call("list_checks"))["items"] == []


async def test_dangling_targets_stay_as_relations(company: Any) -> None:
    company.write({"all.yaml": component("a").replace("owner: team", "owner: team, dependsOn: ['resource:gone']")})
    async with company.open() as catalog:
        relations = (await catalog.call("get_entity", ref="a"))["relations"]
        assert [(r["type"], r["target"], r["exists"]) for r in relations] == [
            ("dependsOn", "resource:default/gone", False),
            ("ownedBy", "group:default/team", False),
        ]
        owner = await catalog.call("get_owner", ref="a")
        assert (owner["ref"], owner["exists"], owner["members"]) == ("group:default/team", False, [])
        edges = (await catalog.call("list_dependencies", ref="a", depth=3))["items"]
        assert [(e["target"], e["exists"]) for e in edges] == [("resource:default/gone", False)]


async def test_a_location_of_another_type_is_not_followed(company: Any) -> None:
    company.write(
        {"all.yaml": location("all", "a.yaml").replace("targets", "type: url, targets"), "a.yaml": component("a")}
    )
    async with company.open() as catalog:
        assert await refs(catalog) == ["location:default/all"]
        assert await problems(catalog, "location:all") == [("all.yaml", 5, "only locations of type file are read")]


async def test_a_definition_that_cannot_be_read_is_still_there_as_text(company: Any) -> None:
    company.write({"all.yaml": API % "it.txt", "it.txt": "not a definition"})
    async with company.open() as catalog:
        found = await catalog.call("get_api_definition", api="it")
        assert (found["operations"], found["problem"]) == ([], "the definition is not a mapping")
        assert (await catalog.call("get_api_definition", api="it", format="raw"))["raw"] == "not a definition"


async def test_a_hostile_prometheus_label_cannot_leave_its_selector(company: Any) -> None:
    note = "metadata: {name: a, annotations: {prometheus.io/labels: 'service=x\"} or {y=\"z, 1bad=1, env=, zone=b\\'}}"
    company.write({"all.yaml": component("a").replace("metadata: {name: a}", note)})
    async with company.open() as catalog:
        links = await catalog.call("get_tool_links", ref="a")
        assert links["prometheus_selector"] == '{service="x\\"} or {y=\\"z",zone="b\\\\"}'
        assert links["gitlab_project"] is None


async def test_an_entity_without_any_annotation_has_no_links(company: Any) -> None:
    company.write({"all.yaml": component("a")})
    async with company.open() as catalog:
        links = await catalog.call("get_tool_links", ref="a")
        assert (links["prometheus_selector"], links["runbooks"], links["links"]) == (None, [], [])


async def test_an_empty_folder_is_an_empty_catalog(company: Any) -> None:
    async with company.open() as catalog:
        assert await refs(catalog) == []
        assert await catalog.call("list_domains") == {"domains": [], "systems_without_domain": []}


async def test_validation_reads_no_file_and_names_every_fault(company: Any) -> None:
    company.write({"all.yaml": component("a"), "s.txt": "S3CRET"})
    async with company.open() as catalog:
        good = await catalog.call(
            "validate_entity", yaml=API % "s.txt" + "---" + component("b").replace("team", "user:x")
        )
        assert (good["valid"], good["entities"], good["problems"]) == (
            True, ["api:default/it", "component:default/b"], []
        )  # fmt: skip
        assert [(m["source"], m["type"], m["target"]) for m in good["missing_targets"]] == [
            ("api:default/it", "ownedBy", "group:default/team"),
            ("component:default/b", "ownedBy", "user:default/x"),
        ]
        bad = await catalog.call("validate_entity", yaml="a: [\n---\n" + component("x") * 2)
        assert bad["valid"] is False
        assert len(bad["problems"]) == 2
        assert "S3CRET" not in str(good) + str(bad)
        assert (await catalog.call("validate_entity", yaml="# nothing"))["valid"] is False
        many = await catalog.call("validate_entity", yaml="---\n".join(component(f"c{i}") for i in range(300)))
        assert (many["valid"], len(many["entities"])) == (False, 200)
        twice = await catalog.call("validate_entity", yaml=component("x") + "---\n" + component("x"))
        assert [p["message"] for p in twice["problems"]] == ["the text declares this entity twice"]
        assert await refs(catalog) == ["component:default/a"]
