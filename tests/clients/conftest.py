"""A small web server of the test's own, for what must be seen from the other side."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

Answer = Callable[[http.server.BaseHTTPRequestHandler], tuple[int, dict[str, str], bytes]]
Serving = Callable[[Answer], str]


@pytest.fixture
def serving() -> Iterator[Serving]:
    """Return what starts a server that gives ``answer`` to every request, and returns its address."""
    with ExitStack() as stack:

        def start(answer: Answer) -> str:
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    status, headers, body = answer(self)
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                do_POST = do_GET  # noqa: N815 - http.server's name

                def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                    pass

            server = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield start
