"""`portal check`: what this portal would do, without doing it."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

from portal.app import Portal, open_portal
from portal.settings import PortalSettings

MASK = "**********"
_USER_INFO = re.compile(r"//[^/@\s]+@")


async def inspect(settings: PortalSettings) -> tuple[str, bool]:
    """Return (a report, whether everything is as it should be).

    Secrets are masked by their type. Of a server's own settings the portal does not know which are secrets: no text of
    theirs is shown, nor what stands before the host in an address.
    """
    shown = settings.model_dump(mode="json")
    for upstream in shown["upstreams"].values():
        upstream["settings"] = _masked(upstream["settings"])
    lines = ["settings", *flat(shown, "  ")]
    # A portal may be running on the same data_dir: demo vendors of this look keep theirs elsewhere.
    with tempfile.TemporaryDirectory() as folder:
        async with open_portal(settings, demo_dir=Path(folder)) as portal:
            upstreams, reachable = await _upstreams(portal)
            provider, answers = await _provider(portal)
            accounts, known = await _accounts(portal)
            layers, confined = _layers(portal)
    healthy = reachable and answers and known and (confined or settings.jail == "degrade")
    return "\n".join([*lines, *provider, *upstreams, *accounts, *layers]), healthy


async def _provider(portal: Portal) -> tuple[list[str], bool]:
    ready, oidc = await portal.auth.provider_ready(), portal.settings.auth.oidc
    if ready is None or oidc is None:
        return [], True
    state = "ready" if ready else "does not answer as it must; the log says why"
    return ["provider", f"  {oidc.issuer}: {state}"], ready


async def _upstreams(portal: Portal) -> tuple[list[str], bool]:
    lines = ["upstreams"]
    healthy = True
    for name in portal.upstreams.names():
        started = time.perf_counter()
        await portal.catalogue.refresh({name})
        state = next(s for s in portal.catalogue.current.states if s.name == name)
        count = sum(tool.server == name for tool in portal.catalogue.current.tools)
        elapsed_ms = (time.perf_counter() - started) * 1000
        detail = f" ({state.detail})" if state.detail else ""
        lines.append(f"  {name}: {state.state}{detail}, {count} tools, {elapsed_ms:.0f} ms")
        healthy = healthy and state.state == "ready"
    return lines, healthy


async def _accounts(portal: Portal) -> tuple[list[str], bool]:
    """Say what each server that works with a credential works with, and what its vendor thinks of the settings."""
    vault, lines, healthy = portal.auth.vault, [], True
    for one in vault.servers:
        if one.vendor is None:
            lines.append(f"  {one.name}: one service account for everybody")
            continue
        wrong = await vault.probe(one.name)
        healthy = healthy and not wrong
        state = wrong or "ready"
        redirect = f"{portal.settings.issuer}/connect/callback"
        lines.append(f"  {one.name}: each person's own at {one.vendor.host}, redirect address {redirect}: {state}")
    return (["accounts", *lines] if lines else []), healthy


def _layers(portal: Portal) -> tuple[list[str], bool]:
    layers = portal.sandbox.layers()
    lines = ["sandbox layers"]
    for layer in layers:
        mark = "in force" if layer.active else "MISSING"
        lines.append(f"  {layer.name}: {mark}" + (f" ({layer.detail})" if layer.detail else ""))
    return lines, all(layer.active for layer in layers)


def _masked(value: object) -> object:
    if isinstance(value, dict):
        return {name: _masked(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return MASK if isinstance(value, str) and value else value


def flat(value: object, indent: str, name: str = "") -> list[str]:
    """Return a line per setting, as ``a.b = value``; what stands before the host in an address is masked."""
    if isinstance(value, dict) and value:
        found = []
        for key, item in value.items():
            found += flat(item, indent, f"{name}.{key}" if name else str(key))
        return found
    return [f"{indent}{name} = {_USER_INFO.sub(f'//{MASK}@', repr(value))}"]
