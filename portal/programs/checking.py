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
    if any(finding.rule != _ARGUMENT or _is_known(finding) for finding in findings) or not findings:
        return findings
    certain = {(finding.line, finding.rule) for finding in await sandbox.check(code, wide())}
    return [finding for finding in findings if (finding.line, finding.rule) in certain]


def _is_known(finding: Diagnostic) -> bool:
    """Say whether the checker knows the value itself, and so that it does not fit."""
    found = finding.message.rpartition("found `")[2]
    return found.startswith("Literal[") and " | " not in found
