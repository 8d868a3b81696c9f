"""Somebody else's web server on loopback: where an agent waits for its answer, and where a hostile page is from."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Site:
    """A server that answers every request with ``page`` and keeps the queries."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.page = "<title>elsewhere</title><p>Elsewhere</p>"
        self.queries: list[dict[str, list[str]]] = []


@contextmanager
def site() -> Iterator[Site]:
    """Yield a site at an origin of its own: another port of 127.0.0.1, so cookies do not tell it from the portal."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.queries.append(parse_qs(urlsplit(self.path).query))
            body = found.page.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Site(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
