"""The one way out, over real connections: bounded, no redirect, and TLS by the name that was meant."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared_auth.outbound import Outbound, Unreachable

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GREETING = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"


@asynccontextmanager
async def served(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Yield the port at which every connection is handed to ``handler`` after its first bytes."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _hello(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GREETING + b"Content-Length: 2\r\n\r\n{}")
    await writer.drain()


async def test_a_small_answer_arrives_whole() -> None:
    async with served(_hello) as port:
        answer = await Outbound().send("GET", f"http://127.0.0.1:{port}/", max_bytes=2)
    assert (answer.status, answer.is_json, answer.body) == (200, True, b"{}")
    assert "{}" not in repr(answer)


@pytest.mark.requirement("AS-43")
async def test_an_answer_over_the_bound_is_dropped_in_the_middle() -> None:
    async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING + b"\r\n")
        while True:
            writer.write(b" " * 10_000)
            await writer.drain()

    async with served(endless) as port:
        with pytest.raises(Unreachable, match="too large"):
            await Outbound().send("GET", f"http://127.0.0.1:{port}/", max_bytes=50_000)


@pytest.mark.requirement("AS-43")
async def test_an_answer_that_never_ends_is_given_up_however_steadily_it_drips() -> None:
    gone = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING + b"\r\n ")
        await writer.drain()
        await reader.read()  # until the other side hangs up
        gone.set()

    async with served(drip) as port:
        with pytest.raises(Unreachable, match="no answer within"):
            await Outbound(timeout_s=0.2).send("GET", f"http://127.0.0.1:{port}/", max_bytes=50_000)
        await gone.wait()


async def test_nobody_there_is_said_without_the_address() -> None:
    async with served(_hello) as port:
        pass
    with pytest.raises(Unreachable) as error:
        await Outbound().send("GET", f"http://127.0.0.1:{port}/secret", max_bytes=10)
    assert "127.0.0.1" not in str(error.value)
    assert "secret" not in str(error.value)


async def test_what_is_no_address_is_unreachable() -> None:
    for url in ("", "https://", "https://[", "gopher://127.0.0.1/", "https://\x00/"):
        with pytest.raises(Unreachable):
            await Outbound().send("GET", url, max_bytes=10)


def _certificate(folder: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.2"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.mark.requirement("AS-41")
async def test_the_certificate_is_judged_by_the_name_that_was_meant(tmp_path: Path) -> None:
    path = _certificate(tmp_path, "agent.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)

    def outbound() -> Outbound:
        return Outbound(transport=httpx.AsyncHTTPTransport(verify=ssl.create_default_context(cafile=path)))

    async with served(_hello, context) as port:
        url = f"https://127.0.0.1:{port}/"
        answer = await outbound().send("GET", url, max_bytes=10, server_name="agent.example")
        assert answer.body == b"{}"
        for name in ("other.example", None):
            with pytest.raises(Unreachable):
                await outbound().send("GET", url, max_bytes=10, server_name=name)
        with pytest.raises(Unreachable):  # an authority that this machine does not know
            await Outbound().send("GET", url, max_bytes=10, server_name="agent.example")
