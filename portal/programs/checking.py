"""The type check of a program, judged: what is wrong for certain, and what only the values can tell.

A checker refuses a computed ``str`` where a literal is wanted, and dictionaries built in a loop where records are. The
gate judges the values themselves before anything is sent, so such a program runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from portal.sandbox.contract import Diagnostic, Module, Sandbox

_ARGUMENT = "invalid-argument-type"


async def faults(
    sandbox: Sandbox, code: str, modules: Sequence[Module], wide: Callable[[], Sequence[Module]]
) -> list[Diagnostic]:
    """Return why the program must not run; empty when it may. ``wide`` gives the same modules for a check that refuses
    only what cannot fit. Raises SandboxUnavailable.
    """
    findings = await sandbox.check(code, modules)
    if not any(map(_may_fit, findings)):
        return findings
    certain = {(finding.line, finding.rule) for finding in await sandbox.check(code, wide())}
    return [finding for finding in findings if not _may_fit(finding) or (finding.line, finding.rule) in certain]


def _may_fit(finding: Diagnostic) -> bool:
    """Say whether the finding is about an argument of which the checker does not know the value itself."""
    found = finding.message.rpartition("found `")[2]
    return finding.rule == _ARGUMENT and (not found.startswith("Literal[") or " | " in found)
