"""Takes one agent along one of its routes and judges what came of it, by what it said and by what the witness saw."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.clients.agents import Agent, Step
from tests.clients.browser import agree
from tests.clients.stage import Stage
from tests.clients.terminal import Ended, run
from tests.clients.witness import Exchange

STEP_TIMEOUT_S = 90.0
TOOLS = ("search", "execute")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one route. ``fault`` is "" when everything went as it must; ``called`` is None without a call.

    ``grants`` are the ways in which tokens were got.
    """

    fault: str
    revisions: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    called: bool | None = None
    grants: frozenset[str] = frozenset()


def version(stage: Stage, agent: Agent, home: Path) -> str:
    """Return what the agent says is its version, "?" when it says nothing of the kind."""
    environment = stage.environment(home) | agent.environment
    ended = run(agent.version, home, environment, timeout_s=STEP_TIMEOUT_S)
    found = re.search(r"\d+\.\d+\.\d+\S*", ended.text)
    return found.group() if found else "?"


def walk(stage: Stage, agent: Agent, steps: tuple[Step, ...], home: Path, *, ended: bool = False) -> Outcome:
    """Take every step in ``home`` and return what became of it. ``ended``: the agent's grant is one that has ended."""
    for name, text in agent.files.items():
        (home / name).write_text(stage.filled(text), encoding="utf-8")
    stage.witness.take()
    called = False if any(step.calls for step in steps) else None
    fault = ""
    for step in steps:
        fault = _take(stage, agent, step, home)
        if fault:
            break
        called = True if step.calls else called
    seen = stage.witness.take()
    if ended:
        return _turned_away(seen, fault)
    return _judged(seen, fault, called, login=any(step.signs_in for step in steps))


def _take(stage: Stage, agent: Agent, step: Step, home: Path) -> str:
    """Return what was wrong with ``step``, "" when nothing was."""
    with ThreadPoolExecutor(1) as thread:
        person = _Person(thread, stage.witness.url, stage.sign_in_link) if step.signs_in else None

        def watch(text: str) -> bool:
            if person is not None:
                person.look(text)
            return step.stays and re.search(step.says, text, re.MULTILINE) is not None

        ended = run(
            [stage.filled(part) for part in step.command],
            home,
            stage.environment(home) | agent.environment,
            timeout_s=STEP_TIMEOUT_S,
            typed=step.typed,
            watch=watch,
        )
        unhappy = person.fault() if person is not None else ""
    return unhappy or _fault(step, ended, stage.token)


class _Person:
    """Waits for the agent's link and does with it, once, what a person does."""

    def __init__(self, thread: ThreadPoolExecutor, portal: str, sign_in_link: Callable[[], str]) -> None:
        # What follows the link shows that all of it has been printed.
        self._link = re.compile(re.escape(portal) + r"/authorize\?[^\s\"'<>│]+(?=[\s\"'<>│])")
        self._thread = thread
        self._sign_in_link = sign_in_link
        self._done: Future[str] | None = None

    def look(self, text: str) -> None:
        """Follow the link in ``text``, in another thread: the agent must not wait for us to read what it writes."""
        found = self._link.search(text)
        if found and self._done is None:
            self._done = self._thread.submit(self._go, found.group())

    def fault(self) -> str:
        """Return what went wrong in the browser, "" when nothing did."""
        return "printed no sign-in link" if self._done is None else self._done.result()

    def _go(self, link: str) -> str:
        try:
            page = agree(link, self._sign_in_link())
        except Exception as error:  # Boundary: what goes wrong in the browser is this cell's finding.
            return f"browser: {type(error).__name__}: {error}"
        return "" if page.status < 400 else f"browser: the agent's page answered {page.status}"


def _fault(step: Step, ended: Ended, token: str) -> str:
    said = re.search(step.says, ended.text, re.MULTILINE) is not None
    ended_well = ended.code not in (None, 0) if step.fails else ended.code == 0
    if said and (step.stays or ended_well):
        return ""
    tail = " ".join(ended.text.replace(token, "…").split())[-300:]
    how = "took too long" if ended.code is None else f"exit {ended.code}"
    return f"`{Path(step.command[0]).name} … {step.command[-1]}` {how}: {tail}"


def _judged(seen: list[Exchange], fault: str, called: bool | None, *, login: bool) -> Outcome:
    """Return the outcome: without a fault only if the agent was given exactly our tools, by the way it should take."""
    listed = [exchange for exchange in seen if exchange.rpc == "tools/list" and exchange.status == 200]
    tools = listed[-1].tools if listed else ()
    grants = _grants(seen)
    if not fault and any(exchange.tools != TOOLS for exchange in listed):
        fault = f"was given the tools {', '.join(tools)}"
    if not fault and not listed:
        fault = "never asked for the tools"
    if not fault and ("authorization_code" in grants) != login:
        fault = "did not sign in" if login else "signed in although it need not have"
    revisions = tuple(dict.fromkeys(exchange.revision or "none said" for exchange in listed))
    return Outcome(fault, revisions, tools, called, grants)


def _turned_away(seen: list[Exchange], fault: str) -> Outcome:
    """Return the outcome of a revocation: without a fault only if the agent came, and got neither token nor tools."""
    grants, answered = _grants(seen), [exchange for exchange in seen if exchange.rpc and exchange.status == 200]
    if not fault and (answered or grants):
        fault = "was served although its grant had ended"
    if not fault and not any(exchange.status in {400, 401} for exchange in seen):
        fault = "never came back, so nothing turned it away"
    return Outcome(fault, grants=grants)


def _grants(seen: list[Exchange]) -> frozenset[str]:
    return frozenset(exchange.grant_type for exchange in seen if exchange.path == "/token" and exchange.status == 200)
