"""Which agents are tried, and what a person would type into each: the commands are the ones that docs/clients.md shows.

A route is a list of steps in a home of its own. In commands and files, ``{url}`` is the endpoint and ``{token}`` a token
of `portal token`. Where the portal prints a command itself, that command is taken, so what it prints is what is tried.
"""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass, field

from portal.snippets import NAME, snippets
from tests.clients.install import HERE, Installed

CALL = "6*7"
LINK = r"/authorize\?"
FORTY_TWO = r"^ *\"?(?:text\": \"ok .*\\n)?42\b"


@dataclass(frozen=True, slots=True)
class Step:
    """One command, what it must say, and whether it signs in, calls a tool, must be stopped by us, or must fail."""

    command: tuple[str, ...]
    says: str
    signs_in: bool = False
    calls: bool = False
    stays: bool = False
    fails: bool = False
    typed: str = ""


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent, its two routes to the portal, and what it does with a login that it kept.

    ``again`` uses the login of the second route and asks nobody; () is an agent that keeps none. ``refused`` is the same
    when the grant has ended, and ``anew`` how the person then signs in.
    """

    name: str
    required: bool
    version: tuple[str, ...]
    token: tuple[Step, ...]
    login: tuple[Step, ...]
    again: tuple[Step, ...] = ()
    refused: tuple[Step, ...] = ()
    anew: tuple[Step, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def agents(there: Installed) -> list[Agent]:
    """Return every agent that we know how to drive."""
    return [
        *(_claude(there), _opencode(there), _inspector(there), _fastmcp(there), _codex(there), _remote(there)),
        *(_sdk(), _typescript(there), _fastmcp_client(there)),
    ]


def printed(agent: str) -> str:
    """Return what the portal prints for ``agent``, with ``{url}`` for the endpoint. Raises KeyError."""
    return {snippet.agent: snippet.text for snippet in snippets("{url}")}[agent]


def commands(agent: str, program: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the commands that the portal prints for ``agent``, with ``program`` for the name of the program."""
    return [(*program, *shlex.split(part)[1:]) for part in printed(agent).split(" && ")]


def _claude(there: Installed) -> Agent:
    claude = str(there.modules / "@anthropic-ai" / f"claude-code-{there.platform}" / "claude")
    add, login = commands("Claude Code", (claude,))
    connected = Step((claude, "mcp", "list"), rf"^{NAME}: .*Connected")
    stranger = Step((claude, "mcp", "list"), "Needs authentication")
    # With --no-browser the link is printed instead of opened, and nothing else is different.
    sign_in = Step((*login, "--no-browser"), "Authenticated with", signs_in=True)
    return Agent(
        "Claude Code",
        required=True,
        version=(claude, "--version"),
        token=(
            # The agent reads the variable itself: its file holds the name, not the token.
            Step((*add, "--header", "Authorization: Bearer ${PORTAL_TOKEN}"), "Added HTTP MCP server"),
            connected,
        ),
        login=(
            Step(add, "Added HTTP MCP server"),
            stranger,
            sign_in,
            connected,
        ),
        again=(connected,),
        refused=(stranger,),
        anew=(sign_in, connected),
        environment={
            "DISABLE_TELEMETRY": "1",
            "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        },
    )


def _opencode(there: Installed) -> Agent:
    opencode = str(there.modules / f"opencode-{there.platform}" / "bin" / "opencode")
    add, login = commands("opencode", (opencode,))
    connected = Step((opencode, "mcp", "list"), rf"\b{NAME}\s+connected")
    sign_in = Step(login, "(?i)success", signs_in=True)
    return Agent(
        "opencode",
        required=True,
        version=(opencode, "--version"),
        token=(Step((*add, "--header", "Authorization=Bearer {env:PORTAL_TOKEN}"), "added"), connected),
        login=(
            Step(add, "added"),
            sign_in,
            connected,
        ),
        again=(connected,),
        refused=(Step((opencode, "mcp", "list"), rf"\b{NAME}\s+needs authentication"),),
        anew=(sign_in, connected),
        environment={"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"},
    )


def _inspector(there: Installed) -> Agent:
    launcher = there.modules / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build" / "index.js"
    inspector = (str(there.node), str(launcher))
    reach = (*inspector, "--cli", "--server-url", "{url}", "--transport", "http", "--protocol-era", "auto")
    configured = (*inspector, "--cli", "--config", "mcp.json", "--server", NAME)
    bearer = ("--header", "Authorization: Bearer {token}")
    tools = ("--method", "tools/list")
    call = ("--method", "tools/call", "--tool-name", "execute", "--tool-arg", f"code={CALL}")
    return Agent(
        "MCP Inspector CLI",
        required=True,
        version=(*inspector, "--version"),
        token=(
            Step((*reach, *bearer, *tools), r'"name": "execute"'),
            Step((*reach, *bearer, *call), FORTY_TWO, calls=True),
        ),
        login=(
            Step((*reach, *tools), r'"name": "execute"', signs_in=True),
            Step((*reach, "--stored-auth-only", *call), FORTY_TWO, calls=True),
            # The JSON that the portal prints, as a file.
            Step((*configured, "--stored-auth-only", *tools), r'"name": "execute"'),
        ),
        again=(
            Step((*reach, "--stored-auth-only", *tools), r'"name": "execute"'),
            Step((*reach, "--stored-auth-only", *call), FORTY_TWO, calls=True),
        ),
        refused=(Step((*reach, "--stored-auth-only", *tools), "auth_required", fails=True),),
        anew=(Step((*reach, *tools), r'"name": "execute"', signs_in=True),),
        files={"mcp.json": printed("mcpServers JSON")},
        # Without a keychain and without this it forgets the login when it ends.
        environment={"MCP_INSPECTOR_SECRET_STORE": "file"},
    )


def _fastmcp(there: Installed) -> Agent:
    fastmcp = str(there.fastmcp)
    tools, call = (fastmcp, "list", "{url}"), (fastmcp, "call", "{url}", "execute", f"code={CALL}")
    bearer, oauth = ("--auth", "{token}"), ("--auth", "oauth")
    return Agent(
        "fastmcp CLI",
        required=True,
        version=(fastmcp, "version"),
        token=(
            Step((*tools, *bearer), r"Tools \(2\)"),
            Step((*call, *bearer), FORTY_TWO, calls=True),
        ),
        # Its tokens live as long as the command, so each command signs in.
        login=(
            Step((*tools, *oauth), r"Tools \(2\)", signs_in=True),
            Step((*call, *oauth), FORTY_TWO, signs_in=True, calls=True),
        ),
        environment={"FASTMCP_CHECK_FOR_UPDATES": "off"},
    )


def _codex(there: Installed) -> Agent:
    codex = (str(there.node), str(there.modules / "@openai" / "codex" / "bin" / "codex.js"))
    # `codex mcp list` does not connect. Its app server does, asked on standard input, without any model.
    asks = [
        {"id": 1, "method": "initialize", "params": {"clientInfo": {"name": "matrix", "version": "1"}}},
        {"method": "initialized"},
        {"id": 2, "method": "mcpServerStatus/list", "params": {}},
    ]
    typed = "".join(json.dumps(ask) + "\n" for ask in asks)
    (add,) = commands("codex", codex)
    status = Step((*codex, "app-server"), r'"id":2.*"execute"', stays=True, typed=typed)
    return Agent(
        "codex",
        required=False,
        version=(*codex, "--version"),
        token=(
            Step((*add, "--bearer-token-env-var", "PORTAL_TOKEN"), "Added"),
            status,
        ),
        login=(
            Step(add, "(?i)successfully logged in", signs_in=True),
            status,
        ),
        again=(status,),
        refused=(Step((*codex, "app-server"), r'"id":2.*"authStatus":"notLoggedIn"', stays=True, typed=typed),),
        anew=(Step((*codex, "mcp", "login", NAME), "(?i)successfully logged in", signs_in=True), status),
    )


def _remote(there: Installed) -> Agent:
    """mcp-remote stands between an agent that only starts local programs, here FastMCP, and the portal."""
    dist = there.modules / "mcp-remote" / "dist"
    flags = ("{url}", "--transport", "http-only", "--allow-http")
    proxy = shlex.join((str(there.node), str(dist / "proxy.js"), *flags))
    through = (str(there.fastmcp), "list", "--timeout", "60", "--command")
    # FastMCP hands its programs no variables of ours: that the placeholder works is seen with mcp-remote's own client.
    bearer, placeholder = "Authorization: Bearer {token}", "Authorization: Bearer ${PORTAL_TOKEN}"
    own = (str(there.node), str(dist / "client.js"), *flags)
    return Agent(
        "mcp-remote",
        required=False,
        version=(str(there.node), "-p", f"require({str(there.modules / 'mcp-remote' / 'package.json')!r}).version"),
        token=(
            Step((*through, f"{proxy} --header {shlex.quote(bearer)}"), r"Tools \(2\)"),
            Step((*own, "--header", placeholder), r'"name": ?"execute"', stays=True),
        ),
        login=(
            Step((*through, proxy), r"Tools \(2\)", signs_in=True),
            Step((*through, proxy), r"Tools \(2\)"),
        ),
        again=(Step((*through, proxy), r"Tools \(2\)"),),
        refused=(Step((*through, proxy), LINK, stays=True),),
        anew=(Step((*through, proxy), r"Tools \(2\)", signs_in=True),),
        environment={"FASTMCP_CHECK_FOR_UPDATES": "off"},
    )


def _sdk() -> Agent:
    version = (sys.executable, "-c", "import importlib.metadata as m; print(m.version('mcp'))")
    return _library("MCP Python SDK", version, (sys.executable, "-m", "tests.clients.sdk"))


def _fastmcp_client(there: Installed) -> Agent:
    python = str(there.fastmcp.with_name("python"))
    version = (python, "-c", "import importlib.metadata as m; print(m.version('fastmcp'))")
    return _library("FastMCP client", version, (python, str(HERE / "fastmcp_client.py")))


def _typescript(there: Installed) -> Agent:
    package = there.modules / "@modelcontextprotocol" / "client"
    version = (str(there.node), "-p", f"require({str(package / 'package.json')!r}).version")
    driver = (str(there.node), str(HERE / "typescript.mjs"), str(package / "dist" / "index.mjs"))
    return _library("MCP TypeScript SDK", version, driver)


def _library(name: str, version: tuple[str, ...], driver: tuple[str, ...]) -> Agent:
    """Return a library as an agent, driven by a small program that lists the tools, runs ``6*7`` and keeps its login."""
    both = r"(?s)search execute.*^42"
    sign_in = Step((*driver, "{url}"), both, signs_in=True, calls=True)
    return Agent(
        name,
        required=True,
        version=version,
        token=(Step((*driver, "{url}", "{token}"), both, calls=True),),
        login=(sign_in,),
        again=(Step((*driver, "{url}"), both, calls=True),),
        # It asks the person again, and waits.
        refused=(Step((*driver, "{url}"), LINK, stays=True),),
        anew=(sign_in,),
        environment={"FASTMCP_CHECK_FOR_UPDATES": "off"},
    )
