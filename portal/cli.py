"""The `portal` command. Exit codes: 0 done, 1 the thing itself failed, 2 the portal cannot work like this."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uvloop

from portal import evidence, explaining, inspection, remote
from portal.app import open_auth, open_portal, open_record
from portal.audit.audit import AuditUnavailable
from portal.audit.verify import Verdict, verify
from portal.catalogue.gather import CatalogueConflict
from portal.log import configure
from portal.programs.reply import Reply
from portal.sandbox.contract import SandboxUnavailable
from portal.serve import serve as serve_portal
from portal.settings import ConfigurationError, load
from portal.store.database import DatabaseRefused
from shared_auth import opaque
from shared_auth.configuration import ConfigurationError as AuthConfigurationError

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="One MCP endpoint and one login in front of every internal system.",
)

audit = typer.Typer(no_args_is_help=True, help="The record of programs and calls.")
app.add_typer(audit, name="audit")
auth = typer.Typer(no_args_is_help=True, help="What the auth flow promises and how it is shown.")
app.add_typer(auth, name="auth")

policy = typer.Typer(no_args_is_help=True, help="Who may do what.")
app.add_typer(policy, name="policy")

MENDABLE = (
    ConfigurationError,
    AuthConfigurationError,
    AuditUnavailable,
    CatalogueConflict,
    DatabaseRefused,
    SandboxUnavailable,
)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="portal.toml to read.", show_default=False)]


@app.command()
def serve(config: ConfigOption = None) -> None:
    """Start the portal with its servers and print how to connect."""
    settings = load(config)
    configure(settings.log_format, settings.log_level)
    _run(serve_portal(settings, lambda text: print(text, flush=True)))


@app.command()
def check(config: ConfigOption = None) -> None:
    """Show the effective settings, ping every upstream, and name the sandbox layers in force."""
    settings = load(config)
    configure("text", "error")
    report, healthy = _run(inspection.inspect(settings))
    print(report)
    raise typer.Exit(0 if healthy else 1)


@app.command()
def search(
    queries: Annotated[list[str] | None, typer.Argument(help="Short queries, one per step of the task.")] = None,
    server: Annotated[str | None, typer.Option(help="Only this server.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, max=30)] = None,
    config: ConfigOption = None,
) -> None:
    """Find tools, as an agent does."""
    settings = load(config)
    configure("text", "error")

    async def go() -> Reply:
        arguments = (
            {"queries": queries or []} | ({"server": server} if server else {}) | ({"limit": limit} if limit else {})
        )
        answered = await remote.call(settings, "search", arguments)
        if answered is not None:
            return answered
        async with open_portal(settings) as portal:
            principal = await portal.auth.local_principal()
            return Reply(
                await portal.search.search(principal, queries or [], server=server, limit=limit), is_error=False
            )

    _print(_run(go()))


@app.command()
def run(
    file: Annotated[str, typer.Argument(help="A program, or - for standard input.")],
    config: ConfigOption = None,
) -> None:
    """Run a program through the same path as an agent's: the running portal's, or else one opened for this run."""
    settings = load(config)
    configure("text", "error")
    try:
        code = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {type(error).__name__}") from None

    async def go() -> Reply:
        person_is_there = file != "-" and sys.stdin.isatty()
        answered = await remote.call(settings, "execute", {"code": code}, _show if person_is_there else None)
        if answered is not None:
            return answered
        async with open_portal(settings) as portal:
            return await portal.programs.execute(await portal.auth.local_principal(), code)

    _print(_run(go()))


def _show(message: str, url: str) -> bool:
    print(f"{message}\n{url}\nDecide there, then press Enter.", file=sys.stderr)
    return bool(sys.stdin.readline())


@app.command()
def token(config: ConfigOption = None) -> None:
    """Print an access token of the local person (local sign-in only)."""
    settings = load(config)
    configure("text", "error")

    async def go() -> str:
        async with open_auth(await remote.running(settings) or settings) as auth:
            return await auth.local_token(ttl_s=settings.auth.cli_token_s)

    print(_run(go()))


@app.command("sign-in")
def sign_in(config: ConfigOption = None) -> None:
    """Print a fresh one-time sign-in link (local sign-in only)."""
    settings = load(config)
    configure("text", "error")

    async def go() -> str:
        async with open_auth(await remote.running(settings) or settings) as auth:
            return await auth.sign_in_link()

    print(_run(go()))


@app.command()
def revoke(
    subject: Annotated[
        str | None, typer.Option(help="A person; `client:<id>` is a client that acts for itself.")
    ] = None,
    client: Annotated[str | None, typer.Option(help="An agent, by its client id.")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Everybody and every agent.")] = False,
    config: ConfigOption = None,
) -> None:
    """End grants: their tokens and running programs stop on every replica within a second."""
    if everybody == (subject is not None or client is not None):
        raise ConfigurationError("revoke: give --subject, --client or both; or --all and nothing else")
    settings = load(config)
    configure("text", "error")

    async def go() -> None:
        # Through the database, which is the same at every address: no portal need be found, nor answer.
        async with open_auth(settings) as auth:
            ended = await auth.revoke_grants(subject=subject, client_id=client, by="command line")
            print(f"{ended} grants ended", flush=True)
            if cleared := await auth.clear_vendor_grants():
                print(f"{cleared} vendor grants revoked at their vendors and deleted")

    _run(go())


vault = typer.Typer(no_args_is_help=True, help="The credentials of people's accounts at vendors.")
app.add_typer(vault, name="vault")


@vault.command()
def rotate(config: ConfigOption = None) -> None:
    """Make a new key and seal every vendor grant with it, while replicas run. Run it again if it was stopped."""
    settings = load(config)
    configure("text", "error")

    async def go() -> int:
        async with open_auth(settings) as auth:
            return await auth.vault.rotate()

    print(f"{_run(go())} vendor grants sealed with a new key")


@audit.command("verify")
def audit_verify(config: ConfigOption = None) -> None:
    """Walk the record's chains and name the first break of each; the record must be as it was written."""
    settings = load(config)
    configure("text", "error")

    async def go() -> Verdict:
        async with open_record(settings) as engine:
            return await verify(engine)

    verdict = _run(go())
    for chain in verdict.chains:
        whole = f"{chain.programs} programs, whole, ends at {chain.head.sequence} {chain.head.digest}"
        print(f"{chain.instance}: {f'BROKEN {chain.fault}' if chain.fault else whole}")
    print(f"{verdict.unchained} programs in no chain: running, interrupted, or recorded before there were chains")
    if not verdict.whole:
        raise typer.Exit(1)


@policy.command("explain")
def policy_explain(
    tool: Annotated[str, typer.Argument(help="Its full name, such as gitlab.create_issue.")],
    subject: Annotated[str, typer.Option(help="The person, or client:<id> for a client that acts for itself.")],
    group: Annotated[list[str] | None, typer.Option(help="A group of theirs; give it once for each.")] = None,
    client: Annotated[str, typer.Option(help="The client that they use.")] = "any",
    config: ConfigOption = None,
) -> None:
    """Say whether a person may call a tool through a client, and which rule says so, in which file and line.

    Exit code 1: they may not.
    """
    settings = load(config)
    configure("text", "error")

    async def go() -> tuple[str, bool]:
        at = await remote.running(settings) or settings  # a rule may name the issuer
        return await explaining.explain(at, tool, subject=subject, groups=group or [], client_id=client)

    said, allowed = _run(go())
    print(said)
    raise typer.Exit(0 if allowed else 1)


@app.command("client-secret")
def client_secret() -> None:
    """Make a secret for a client in [auth.clients.<id>]: the secret is the client's, its hash belongs in settings."""
    secret = opaque.new("secret")
    print(f'secret: {secret}\nsecret_hash = "{opaque.digest(secret)}"')


@auth.command("evidence")
def auth_evidence(config: ConfigOption = None) -> None:
    """Print every endpoint and every promise of the auth flow with the tests that show it and their last results.

    Exits with 1 when an endpoint has no known guard, or a promise has no test or one that failed.
    """
    settings = load(config)
    configure("text", "error")
    page, whole = _run(evidence.evidence(settings, evidence.known()))
    print(page)
    raise typer.Exit(0 if whole else 1)


def _run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _print(reply: Reply) -> None:
    print(reply.text)
    if reply.is_error:
        raise typer.Exit(1)


def main() -> None:
    """Run the command. What the operator can mend is one line on standard error, never a traceback."""
    try:
        app()
    except MENDABLE as error:
        logging.shutdown()
        print(f"portal: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
