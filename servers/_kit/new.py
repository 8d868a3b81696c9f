"""``make new-server NAME=x``: a copy of servers/_template under its own name, and its entry in portal.toml."""

from __future__ import annotations

import keyword
import shutil
import sys
from pathlib import Path

TEMPLATE = "_template"


class BadName(Exception):
    """The name cannot be a server's; the message says why."""


def create(name: str, root: Path) -> Path:
    """Copy ``root/servers/_template`` to ``root/servers/<name>``, rename everything in it, add the portal.toml entry.

    Returns the new folder. Raises BadName and changes nothing when the name cannot be used.
    """
    target = root / "servers" / name
    if not (name.isidentifier() and name.isascii() and name.islower()) or name.startswith("_"):
        raise BadName(f"{name!r} must be a lower-case Python identifier, for it is what programs import")
    if keyword.iskeyword(name) or name in sys.stdlib_module_names:
        raise BadName(f"{name!r} is a name of Python itself; programs could not import both")
    if target.exists():
        raise BadName(f"servers/{name} exists already")
    config = root / "portal.toml"
    text = config.read_text(encoding="utf-8") if config.exists() else ""
    if f"[upstreams.{name}]" in text:
        raise BadName(f"portal.toml has an entry for {name} already")
    staged = target.with_name(f"_new_{name}")
    shutil.copytree(root / "servers" / TEMPLATE, staged, ignore=shutil.ignore_patterns("__pycache__"))
    for file in staged.rglob("*"):
        if file.is_file():
            file.write_text(_renamed(file.read_text(encoding="utf-8"), name), encoding="utf-8")
    staged.rename(target)
    entry = f'\n[upstreams.{name}]\nmodule = "servers.{name}"\nsummary = "Notes of the team."\n'
    config.write_text(text.rstrip("\n") + "\n" + entry, encoding="utf-8")
    return target


def _renamed(text: str, name: str) -> str:
    title = "".join(part.capitalize() for part in name.split("_"))
    return text.replace(TEMPLATE, name).replace("Template", title).replace("template", name)


if __name__ == "__main__":
    try:
        made = create(sys.argv[1] if len(sys.argv) > 1 else "", Path.cwd())
    except BadName as bad:
        sys.exit(f"new-server: {bad}")
    print(f"servers/{made.name} is ready and in portal.toml. Next: docs/add-a-server.md")  # noqa: T201
