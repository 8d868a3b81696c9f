"""Deny by default, forbid wins, what fails is denied, and a file that cannot be trusted stops the start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.catalogue.records import Effect, Tool
from portal.policy.engine import Policy
from portal.policy.sources import DEFAULT
from portal.settings import ConfigurationError
from shared_auth.principal import Principal

ADA = Principal("https://id.example", "ada", "agent-1", groups=frozenset({"portal-writers", "eng"}))
WRITERS = frozenset({"portal-writers"})
STRICT = Policy.load([], write_groups=WRITERS)


def tool(effect: Effect = "read", server: str = "gitlab", name: str = "get_issue") -> Tool:
    return Tool(server, name, name, "", effect, {})


def load(folder: Path, *texts: str) -> Policy:
    files = []
    for number, content in enumerate(texts):
        files.append(folder / f"{number}.cedar")
        files[-1].write_text(content, encoding="utf-8")
    return Policy.load(files, write_groups=WRITERS)


def refusal(folder: Path, *texts: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(folder, *texts)
    return str(refused.value)


def test_anyone_may_read() -> None:
    decision = STRICT.decide(Principal("i", "s", "c"), tool("read"))
    assert (decision.allowed, decision.policy_ids) == (True, ("anyone-may-read",))


@pytest.mark.requirement("GW-50")
def test_only_the_groups_that_the_settings_name_may_write() -> None:
    assert STRICT.decide(ADA, tool("write")).policy_ids == ("writers-may-write",)
    assert STRICT.decide(ADA, tool("write")).allowed
    for groups in (frozenset[str](), frozenset({"eng"}), frozenset({"writer"}), frozenset({"PORTAL-WRITERS"})):
        denied = STRICT.decide(replace(ADA, groups=groups), tool("write"))
        assert (denied.allowed, denied.policy_ids, denied.reason) == (False, (), "no policy permits it")


def test_nobody_writes_when_the_settings_name_no_group() -> None:
    assert not Policy.load([], write_groups=frozenset()).decide(ADA, tool("write")).allowed


@pytest.mark.requirement("GW-53")
def test_a_client_that_acts_for_itself_is_a_principal_of_its_own_kind(tmp_path: Path) -> None:
    robot = Principal("https://id.example", "client:build", "build", groups=frozenset({"portal-writers"}))
    assert STRICT.decide(robot, tool("write")).allowed
    assert not STRICT.decide(replace(robot, groups=frozenset()), tool("write")).allowed
    policy = load(tmp_path, '@id("no-robots") forbid (principal is Client, action, resource);')
    assert policy.decide(robot, tool("read")).policy_ids == ("no-robots",)
    assert policy.decide(replace(ADA, client_id="build"), tool("read")).allowed


@pytest.mark.requirement("GW-50")
def test_destroying_is_denied_to_everybody() -> None:
    assert not STRICT.decide(ADA, tool("destructive")).allowed


def test_an_effect_that_no_policy_knows_is_denied() -> None:
    assert not STRICT.decide(ADA, replace(tool(), effect="launch")).allowed  # type: ignore[arg-type]


def test_an_operator_may_permit_more(tmp_path: Path) -> None:
    policy = load(
        tmp_path,
        '@id("ada-may-delete-branches") permit (principal == Principal::"https://id.example#ada", '
        'action == Action::"destructive", resource == Tool::"gitlab.delete_branch");',
    )
    assert policy.decide(ADA, tool("destructive", name="delete_branch")).policy_ids == ("ada-may-delete-branches",)
    assert not policy.decide(ADA, tool("destructive", name="delete_project")).allowed
    assert not policy.decide(ADA, tool("destructive", "gitlab2", "delete_branch")).allowed
    assert not policy.decide(replace(ADA, issuer="https://evil"), tool("destructive", name="delete_branch")).allowed


def test_a_forbid_wins_over_every_permit_and_is_named(tmp_path: Path) -> None:
    policy = load(
        tmp_path,
        '@id("all") permit (principal, action, resource);',
        '@id("not-through-agent-1") forbid (principal, action, resource in Server::"gitlab") '
        'when { principal.client == "agent-1" };',
    )
    denied = policy.decide(ADA, tool())
    assert (denied.allowed, denied.policy_ids) == (False, ("not-through-agent-1",))
    assert denied.reason == "forbidden by not-through-agent-1"
    assert policy.decide(replace(ADA, client_id="agent-2"), tool()).allowed
    assert policy.decide(ADA, tool(server="jira")).policy_ids == ("all", "anyone-may-read")


def test_a_policy_that_fails_denies_although_another_permits(tmp_path: Path) -> None:
    policy = load(
        tmp_path, '@id("overflow") forbid (principal, action, resource) when { 9223372036854775807 + 1 == 0 };'
    )
    denied = policy.decide(ADA, tool())
    assert (denied.allowed, denied.reason) == (False, "a policy could not be evaluated")


def test_a_kept_decision_is_not_given_to_another(tmp_path: Path) -> None:
    policy = load(
        tmp_path,
        '@id("only") forbid (principal, action, resource) unless { principal.issuer == "https://id.example" && '
        'principal.subject == "ada" && principal.client == "agent-1" && principal in Group::"eng" && '
        'resource.name == "get_issue" && resource.scope == "" };',
    )
    for _ in range(2):
        assert policy.decide(ADA, tool()).allowed
        for other in (
            replace(ADA, issuer="x"),
            replace(ADA, subject="x"),
            replace(ADA, client_id="x"),
            replace(ADA, groups=frozenset()),
        ):
            assert not policy.decide(other, tool()).allowed
        for another in (replace(tool(), name="x"), replace(tool(), scope="x")):
            assert not policy.decide(ADA, another).allowed


HOSTILE = st.text(st.characters(codec=None), max_size=20) | st.sampled_from(
    [
        '"',
        '");permit(principal,action,resource);//',
        "\\",
        "\n",
        "\x00",
        "\ud800",
        "portal-writers",
        'a" in Role::"writer',
    ]
)


@given(st.frozensets(HOSTILE, max_size=4), HOSTILE, HOSTILE)
def test_no_name_that_comes_from_outside_becomes_policy(groups: frozenset[str], subject: str, name: str) -> None:
    who = Principal(subject, subject, subject, groups=groups)
    if "portal-writers" not in groups:
        assert not STRICT.decide(who, replace(tool("write"), name=name, python_name=name, server=name)).allowed
    assert not STRICT.decide(who, replace(tool("destructive"), name=name, python_name=name, server=name)).allowed


@given(st.frozensets(st.sampled_from(["portal-writers", "ops", "eng", "é", 'q"']), max_size=5), st.data())
def test_fewer_groups_never_allow_more(groups: frozenset[str], data: st.DataObject) -> None:
    policy = TWO
    fewer = frozenset(data.draw(st.sets(st.sampled_from(sorted(groups)))) if groups else ())
    for effect in ("read", "write", "destructive"):
        with_fewer = policy.decide(replace(ADA, groups=fewer), tool(effect)).allowed
        with_all = policy.decide(replace(ADA, groups=groups), tool(effect)).allowed
        assert with_all or not with_fewer


TWO = Policy.load([], write_groups=frozenset({"portal-writers", 'q"', "é"}))


def test_a_group_name_with_quotes_works_as_any_other() -> None:
    assert TWO.decide(replace(ADA, groups=frozenset({'q"'})), tool("write")).allowed
    assert TWO.decide(replace(ADA, groups=frozenset({"é"})), tool("write")).allowed


def test_a_write_group_that_is_not_text_is_refused_at_start() -> None:
    with pytest.raises(ConfigurationError, match="write_groups"):
        Policy.load([], write_groups=frozenset({"\ud800"}))


def test_the_default_file_permits_nothing_destructive_by_its_text() -> None:
    code = "\n".join(line for line in DEFAULT.read_text().splitlines() if not line.startswith("//"))
    assert "destructive" not in code


GOOD = '@id("fine") permit (principal, action == Action::"read", resource);\n'


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (GOOD + "\npermit (principal action, resource);\n", 3, "action"),
        (
            GOOD + '// comment\n@id("b")\nforbid (principal,\n  action,\n  resource) when { nonsense here };\n',
            6,
            "here",
        ),
        (GOOD + "permit (principal, action, resource)\n", 2, "end of"),
        ("permit (principal, action, resource);", 1, "@id"),
        (GOOD + "permit (principal, action, resource);", 1, 'after @id("fine")'),
        (GOOD + "\n" + GOOD, 1, "twice"),
        (GOOD + '\n@id("t") permit (principal, action == Action::"raed", resource);', 3, "raed"),
        (GOOD + '\n\n@id("t") permit (principal, action, resource) when { resource.efect == "x" };', 4, "efect"),
        ('\n@id("anyone-may-read") permit (principal, action, resource);', 2, "default.cedar"),
        ('@id("t") permit (principal == ?principal, action, resource);', 1, "templates"),
    ],
)
def test_a_file_with_a_fault_is_refused_with_name_and_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    message = refusal(tmp_path, text)
    assert f"{tmp_path / '0.cedar'}, line {line}: " in message
    assert says in message


def test_two_files_may_not_use_one_name(tmp_path: Path) -> None:
    message = refusal(tmp_path, GOOD, "\n" + GOOD)
    assert f"{tmp_path / '1.cedar'}, line 2: " in message
    assert str(tmp_path / "0.cedar") in message


def test_a_file_that_ends_in_a_comment_does_not_hide_the_next(tmp_path: Path) -> None:
    policy = load(tmp_path, GOOD + "// the end", '@id("no") forbid (principal, action, resource);')
    assert policy.decide(ADA, tool()).policy_ids == ("no",)


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, "", "// nothing yet\n").decide(ADA, tool()).allowed


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.cedar cannot be read"):
        Policy.load([tmp_path / "nowhere.cedar"], write_groups=WRITERS)


def test_a_file_that_is_not_text_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "x.cedar").write_bytes(GOOD.encode() + b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="line 2: not UTF-8"):
        Policy.load([tmp_path / "x.cedar"], write_groups=WRITERS)


def test_a_file_that_is_too_big_is_refused(tmp_path: Path) -> None:
    assert "bytes" in refusal(tmp_path, "//" + "x" * 1_048_576)


ASK = '@id("delete") @ask("Deleting cannot be undone.") permit (principal, action == Action::"destructive", resource);'


def test_a_permit_with_ask_allows_after_a_persons_yes(tmp_path: Path) -> None:
    decision = load(tmp_path, ASK).decide(ADA, tool("destructive"))
    assert (decision.allowed, decision.asks) == (True, ("Deleting cannot be undone.",))
    assert decision.reason == "permitted by delete; a person is asked first"
    assert load(tmp_path, ASK).decide(ADA, tool("read")).asks == ()


def test_deny_beats_ask_and_ask_beats_allow(tmp_path: Path) -> None:
    broad = '@id("all") permit (principal, action, resource);'
    assert load(tmp_path, ASK, broad).decide(ADA, tool("destructive")).asks == ("Deleting cannot be undone.",)
    denied = load(tmp_path, ASK, '@id("never") forbid (principal, action, resource);').decide(ADA, tool("destructive"))
    assert (denied.allowed, denied.asks) == (False, ())


def test_every_reason_that_applies_is_told(tmp_path: Path) -> None:
    more = '@id("gitlab") @ask("It is a shared project.") permit (principal, action, resource in Server::"gitlab");'
    asks = load(tmp_path, ASK, more).decide(ADA, tool("destructive")).asks
    assert set(asks) == {"Deleting cannot be undone.", "It is a shared project."}


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ('@id("x") @ask("why") forbid (principal, action, resource);', "@ask goes with a permit only"),
        ('@id("x") @ask permit (principal, action, resource);', "@ask needs a reason of one line"),
        ('@id("x") @ask("  ") permit (principal, action, resource);', "@ask needs a reason of one line"),
        ('@id("x") @ask("a\\nb") permit (principal, action, resource);', "@ask needs a reason of one line"),
        (f'@id("x") @ask("{"a" * 301}") permit (principal, action, resource);', "at most 300 characters"),
    ],
)
def test_an_ask_that_says_nothing_is_refused_at_start(tmp_path: Path, policy: str, says: str) -> None:
    assert says in refusal(tmp_path, policy)


def test_it_is_known_where_each_policy_stands(tmp_path: Path) -> None:
    rule = "permit (principal, action, resource);"
    policy = load(
        tmp_path,
        f'// @id("late") stood here: "\n\n@id("early") {rule}\n@ask("// no @id(\\"late\\") here")\n@ id (\n"late" ) {rule}',
        f'@id("hid\\u{{64}}en") {rule}',
    )
    assert policy.place_of("early") == f"{tmp_path / '0.cedar'}:3"
    assert policy.place_of("late") == f"{tmp_path / '0.cedar'}:5"
    assert policy.place_of("hidden") == str(tmp_path / "1.cedar")
    assert policy.place_of("anyone-may-read") == f"{DEFAULT}:8"
