"""A server's emulator as a vendor with accounts, on a loopback port: `python -m servers._kit.emulate --help`.

For a first look at per-person accounts. Everybody may sign in there as anybody.
"""

from __future__ import annotations

import importlib
from typing import Annotated, Any, Protocol, cast

import typer
import uvicorn

from servers._kit.oauth_emulator import CLIENT_ID, CLIENT_SECRET, HABITS, OAuthEmulator


class _Emulator(Protocol):
    @staticmethod
    def emulator(accounts: OAuthEmulator | None = ...) -> Any: ...


def main(
    module: Annotated[str, typer.Argument(help="Package of the server, such as servers.library.")],
    habits: Annotated[str, typer.Option(help=f"Whose OAuth it imitates: {', '.join(HABITS)}.")] = "gitlab",
    port: Annotated[int, typer.Option(help="Port to listen on, 127.0.0.1 alone.")] = 8390,
) -> None:
    """Serve the emulator of a server as a vendor whose API wants a person's own token."""
    if habits not in HABITS:
        raise typer.BadParameter(f"known are {', '.join(HABITS)}", param_hint="--habits")
    found = cast("_Emulator", importlib.import_module(f"{module}.emulator"))
    vendor = OAuthEmulator(HABITS[habits])
    typer.echo(f'http://127.0.0.1:{port}  client_id = "{CLIENT_ID}"  client_secret = "{CLIENT_SECRET}"')
    uvicorn.run(found.emulator(vendor), host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    typer.run(main)
