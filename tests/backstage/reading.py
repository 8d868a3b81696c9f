"""Our YAML reader and our wildcards against the libraries that Backstage reads with, on many texts and patterns."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

from servers.catalog.folder import Folder, Refused
from servers.catalog.reading import BadYaml, documents
from tests.backstage.oracle import HERE, PACKAGES
from tests.backstage.sides import Comparison, Difference, diverging
from tests.backstage.texts import GLOBS, texts

FAULT = "(fault)"


def readers() -> list[Comparison]:
    """Compare what both sides make of each text and each pattern."""
    asked = {"texts": texts(), "globs": GLOBS, "root": str(HERE / "odd")}
    shutil.copy(HERE / "libraries.js", PACKAGES / "libraries.js")
    done = subprocess.run(
        ["node", "libraries.js"],
        cwd=PACKAGES,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    answer = json.loads(done.stdout)
    return [_yaml(asked["texts"], answer["texts"]), _globs(answer["globs"])]


def _yaml(asked: Any, answers: Sequence[list[dict[str, Any]]]) -> Comparison:
    found = Comparison("yaml", len(answers), [])
    for text, answer in zip(asked, answers, strict=True):
        ours: list[Any] = [FAULT if isinstance(one, BadYaml) else one.value for one in documents(text)]
        # An empty document is no entity on either side.
        theirs = [one for one in (FAULT if one.get("fault") else one["value"] for one in answer) if one is not None]
        refused = (FAULT in ours, FAULT in theirs)
        # What else a text with a fault has does not matter: Backstage takes nothing of it.
        if refused != (True, True) and next(diverging(ours, theirs), None) is not None:
            which = {(True, False): "refused here", (False, True): "refused there"}.get(refused, "read differently")
            found.differences.append(Difference("yaml", f"{which}: {text!r}", ours, theirs))
    return found


def _globs(answers: Sequence[list[str]]) -> Comparison:
    found = Comparison("wildcards", len(answers), [])
    for pattern, answer in zip(GLOBS, answers, strict=True):
        try:
            # A target without wildcards comes back whether or not there is such a file.
            found_here = Folder(HERE / "odd", 1).expand(pattern)
            ours = sorted(file for file in found_here if (HERE / "odd" / file).exists())
        except Refused:
            ours = []
        if ours != sorted(answer):
            found.differences.append(Difference("wildcards", pattern, ours, sorted(answer)))
    return found
