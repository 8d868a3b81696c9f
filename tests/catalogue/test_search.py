"""Which tools a query finds, and that it finds only what may be seen."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.catalogue.records import ServerState, Tool
from portal.catalogue.snapshot import Catalogue, everything
from portal.catalogue.words import pairs, terms, words
from tests.catalogue.making import catalogue, properties, read_only

FOUND = catalogue(
    [ServerState("tracker", "Bugs and stories of every product team.")],
    tracker=[
        read_only("get_issue", "Read one issue with its comments.", properties(key={"type": "string"})),
        read_only("list_issues", "Find issues by project, state and assignee."),
        read_only(
            "create-issue", "Open a new issue.", properties(title={"type": "string", "description": "Headline."})
        ),
        read_only("delete_issue", "Remove an issue for ever."),
    ],
    code=[
        read_only("listMergeRequests", "Merge requests of a repository."),
        read_only("get_pipeline", "State of a continuous integration run."),
        read_only("get_file", "Read a file from a repository at a revision."),
    ],
    karten=[
        read_only("search_cards", "通过关键字搜索游戏王卡牌"),
        read_only("wetter", "Zeigt das Wetter für eine Stadt."),
    ],
)


def names(*queries: str, found: Catalogue = FOUND, limit: int = 3) -> list[str]:
    return [tool.qualified for tool in found.search(queries, limit=limit)]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("read an issue", "tracker.get_issue"),
        ("searching issues by assignee", "tracker.list_issues"),
        ("create issue", "tracker.create_issue"),
        ("remove issues", "tracker.delete_issue"),
        ("open a ticket", "tracker.create_issue"),
        ("pull requests", "code.listMergeRequests"),
        ("merge request list", "code.listMergeRequests"),
        ("CI build status", "code.get_pipeline"),
        ("file contents", "code.get_file"),
        ("headline", "tracker.create_issue"),
        ("搜索 卡牌", "karten.search_cards"),
        ("Wetter in der Stadt", "karten.wetter"),
        ("pipleine", "code.get_pipeline"),
        ("repositry file", "code.get_file"),
    ],
)
def test_a_short_query_finds_its_tool_first(query: str, first: str) -> None:
    assert names(query)[0] == first


@pytest.mark.parametrize("query", ["", "   ", "the of and", "zzzzqq", "\x00", "?!", "🦆", "a" * 5_000])
def test_a_query_that_says_nothing_finds_nothing(query: str) -> None:
    assert names(query) == []


def test_queries_take_turns_so_that_none_is_drowned() -> None:
    assert names("issue", "pipeline", limit=4)[1] == "code.get_pipeline"
    assert names("pipeline", "file", "card", limit=3) == ["code.get_pipeline", "code.get_file", "karten.search_cards"]


def test_the_summary_of_a_server_leads_to_its_tools() -> None:
    assert {name.split(".")[0] for name in names("bugs and stories")} == {"tracker"}


def test_only_allowed_tools_of_the_asked_server_are_found() -> None:
    def allowed(tool: Tool) -> bool:
        return tool.python_name != "get_issue"

    found = FOUND.search(["read issue file"], server="tracker", allowed=allowed)
    assert {tool.server for tool in found} == {"tracker"}
    assert "get_issue" not in {tool.python_name for tool in found}


def test_equal_tools_keep_one_order() -> None:
    twins = catalogue(b=[read_only("same_b", "Same."), read_only("same_a", "Same."), read_only("same_c", "Same.")])
    orders = {tuple(names("same", found=twins)) for _ in range(3)}
    assert len(orders) == 1
    assert set(*orders) == {"b.same_a", "b.same_b", "b.same_c"}


def test_a_refresh_finds_the_same_as_a_catalogue_built_anew() -> None:
    states = [*FOUND.states]
    renewed = Catalogue(FOUND.tools, states, before=Catalogue(FOUND.tools[:4], states))
    for query in ("read issue", "merge request", "file"):
        assert renewed.search([query]) == FOUND.search([query])


def test_a_refresh_makes_only_the_sections_of_servers_that_changed() -> None:
    states = [ServerState(s.name, "Other.") if s.name == "code" else s for s in FOUND.states]
    renewed = Catalogue(FOUND.tools, states, before=FOUND)
    kept = {name for name, section in renewed.sections.items() if section is FOUND.sections[name]}
    assert kept == {"tracker", "karten"}


def test_a_tool_without_any_word_of_the_query_is_found_by_its_meaning() -> None:
    found = catalogue(
        srv=[
            read_only("rent_car", "Reserve a car at the airport."),
            read_only("bake", "Recipes for bread."),
            read_only("sum", "Add numbers."),
        ]
    )
    assert names("automobile hire", found=found, limit=1) == ["srv.rent_car"]


def test_what_is_hidden_does_not_weaken_what_is_visible() -> None:
    tools = [read_only(f"pipeline_{n}", "Pipeline pipeline pipeline.") for n in range(3)]
    found = catalogue(srv=[*tools, read_only("get_run", "A pipeline somewhere in a long list of other things.")])
    seen = found.search(["pipeline"], allowed=lambda tool: tool.name == "get_run")
    assert [tool.name for tool in seen] == ["get_run"]


@dataclass(frozen=True)
class Only:
    """May see one tool. ``asked`` counts how often it was judged, and is no part of who it is."""

    name: str
    asked: list[str] = field(default_factory=list, compare=False)

    def __call__(self, tool: Tool) -> bool:
        self.asked.append(tool.name)
        return tool.name == self.name


def test_each_tool_is_judged_once_for_one_principal() -> None:
    found = catalogue(srv=[read_only(f"get_{letter}", "A thing.") for letter in "abcdef"])
    first, again, other = Only("get_c"), Only("get_c"), Only("get_d")
    assert [tool.name for tool in found.search(["thing"], allowed=first)] == ["get_c"]
    assert len(first.asked) == len(set(first.asked))
    assert [tool.name for tool in found.search(["thing", "things"], allowed=again)] == ["get_c"]
    assert not {*again.asked} & {*first.asked}
    assert [tool.name for tool in found.search(["thing"], allowed=other)] == ["get_d"]


def test_an_empty_catalogue_answers() -> None:
    assert Catalogue((), ()).search(["anything"]) == []


@given(st.lists(st.text(max_size=60), max_size=5), st.integers(1, 40))
def test_any_query_gets_an_answer_without_repeats(queries: list[str], limit: int) -> None:
    found = FOUND.search(queries, limit=limit, allowed=everything)
    assert len(found) <= limit
    assert len({tool.qualified for tool in found}) == len(found)


def test_words_split_at_case_and_punctuation_and_cjk_into_pairs() -> None:
    assert words("listGitHubIssues v2-alpha") == ["list", "git", "hub", "issues", "listgithubissues", "v2", "alpha"]
    assert words("搜索卡牌") == ["搜索", "索卡", "卡牌"]
    assert terms("the issues of repositories") == ["issu", "repositori"]
    assert pairs(["a", "b", "c"]) == ["a b", "b c"]


def test_a_word_of_hidden_tools_alone_is_a_slip_like_any_unknown_word() -> None:
    tools = [read_only("list_faults", "Faults."), read_only("vault", "Vault.")]
    found = catalogue(srv=tools)
    seen = found.search(["vault"], allowed=lambda tool: tool.name != "vault")
    assert [tool.name for tool in seen] == ["list_faults"]
