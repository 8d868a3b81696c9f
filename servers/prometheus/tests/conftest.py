"""A real Prometheus and Alertmanager with a small exporter to scrape, and scripted vendors for what they never say."""

from __future__ import annotations

import asyncio
import json
import math
import queue
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import yaml

from servers._kit.testing import ALICE, ToolError, connected
from servers.prometheus.emulator import running
from servers.prometheus.emulator.exposition import CONTENT_TYPE, scrape
from servers.prometheus.emulator.source import Exemplar, Family, Series, Target
from servers.prometheus.server import create
from shared_auth.principal import Principal

READY_S = 60.0
SCRAPE = "2s"
"""A scrape that is missed empties every answer: the exporter shares its interpreter with the tests, and may be late."""

PROMETHEUS = shutil.which("prometheus")
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that a vendor received."""

    method: str
    path: str
    params: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Vendor:
    """An HTTP server on loopback that answers by a function and remembers what it was asked."""

    url: str
    asked: list[Asked] = field(default_factory=list)


Answer = tuple[int, bytes]
Answering = Callable[[Asked], Answer]


def success(data: Any, **more: Any) -> Answer:
    return 200, json.dumps({"status": "success", "data": data, **more}).encode()


def failure(status: int, kind: str, message: str) -> Answer:
    return status, json.dumps({"status": "error", "errorType": kind, "error": message}).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing when a client leaves: its connections end with each call."""


@contextmanager
def vendor(answering: Answering, content_type: str = "application/json") -> Iterator[Vendor]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body are two writes; with Nagle the second waits 40 ms for an acknowledgement.
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            params = parse_qs(parts.query, keep_blank_values=True)
            if self.headers.get("content-type") == "application/x-www-form-urlencoded":
                params |= parse_qs(body.decode(), keep_blank_values=True)
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, parts.path, params, headers, body)
            found.asked.append(asked)
            status, answer = answering(asked)
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    found = Vendor(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture
def scripted() -> Iterator[Callable[[Answering], Vendor]]:
    """Start vendors that answer as a function says."""
    with ExitStack() as stack:
        yield lambda answering: stack.enter_context(vendor(answering))


def shop(started_s: float) -> list[Family]:
    """Return the metrics of a small shop: steady counters, a histogram with exemplars, numbers that are not finite."""

    def growing(per_s: float) -> Callable[[float], float]:
        return lambda time_s: (time_s - started_s + 10_000) * per_s

    def steady(value: float) -> Callable[[float], float]:
        return lambda _: value

    def series(name: str, at: Callable[[float], float], **labels: str) -> Series:
        traced = labels.get("service") == "api" and labels.get("le") == "1.0"
        exemplar = (lambda time_s: Exemplar((("trace_id", "abc123"),), 0.7, time_s)) if traced else None
        return Series(name, tuple(sorted(labels.items())), at, exemplar)

    latencies = []
    for service, shares in (("api", (0.5, 0.9, 1.0)), ("web", (1.0, 1.0, 1.0))):
        for le, share in zip(("0.1", "1.0", "+Inf"), shares, strict=True):
            latencies.append(series("demo_latency_seconds_bucket", growing(10 * share), service=service, le=le))
        latencies.append(series("demo_latency_seconds_count", growing(10), service=service))
        latencies.append(series("demo_latency_seconds_sum", growing(2), service=service))
    requests = [
        series("demo_requests_total", growing(per_s), service=service, code=code)
        for service, code, per_s in (("api", "200", 10), ("api", "500", 1), ("web", "200", 5))
    ]
    depths = {"mail": 42, "jobs": 12, "idle": 0}
    queues = [series("demo_queue_depth", steady(depth), queue=queue) for queue, depth in depths.items()]
    odd = [series("demo_odd", steady(value), kind=str(value)) for value in (math.nan, math.inf)]
    return [
        Family("demo_requests", "counter", "Requests answered.", "", requests),
        Family("demo_latency_seconds", "histogram", "Time to answer.", "seconds", latencies),
        Family("demo_queue_depth", "gauge", "Waiting messages.", "", queues),
        Family("demo_odd", "gauge", "", "", odd),
    ]


RULES = {
    "groups": [
        {
            "name": "queues",
            "rules": [
                {"record": "queue:depth:max", "expr": "max(demo_queue_depth)"},
                {
                    "alert": "QueueGrowing",
                    "expr": "demo_queue_depth > 10",
                    "labels": {"severity": "page", "team": "mail"},
                    "annotations": {
                        "summary": "Queue {{ $labels.queue }} holds {{ $value }}",
                        "description": "Nobody reads {{ $labels.queue }}.",
                        "runbook_url": "https://runbooks.acme.test/queues",
                    },
                },
                {"alert": "QueueGrowing", "expr": "demo_queue_depth > 40", "labels": {"severity": "ticket"}},
                {"alert": "QueueSlow", "expr": "demo_queue_depth > 10", "for": "1h", "labels": {"severity": "page"}},
            ],
        },
        {
            "name": "quiet",
            "rules": [
                {
                    "alert": "QueueFull",
                    "expr": "demo_queue_depth > 1e6",
                    "annotations": {"runbook": "https://r.test/f"},
                },
                {"record": "queue:broken", "expr": "demo_queue_depth + on(job) demo_queue_depth"},
            ],
        },
    ]
}


@dataclass(frozen=True, slots=True)
class Stack:
    """Where the vendors of a test run listen."""

    url: str
    alertmanager_url: str


@pytest.fixture(scope="session", params=["real", "emulator"])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The vendors, scraping and alerting, one set for the whole run: the real ones where they are installed, and ours."""
    if request.param == "emulator":
        with _emulated() as found:
            yield found
        return
    if PROMETHEUS is None or ALERTMANAGER is None:
        pytest.skip("prometheus and alertmanager are not installed")
    folder = tmp_path_factory.mktemp("prometheus")
    families = shop(time.time())
    with ExitStack() as exits:
        exporter = exits.enter_context(vendor(lambda _: (200, scrape(families, time.time()).encode()), CONTENT_TYPE))
        closed, port, alertmanager_port = _free_ports(3)
        found = Stack(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{alertmanager_port}")
        (folder / "rules.yml").write_text(yaml.safe_dump(RULES))
        (folder / "prometheus.yml").write_text(
            yaml.safe_dump(_configuration(urlsplit(exporter.url).netloc, f"127.0.0.1:{closed}", alertmanager_port))
        )
        (folder / "alertmanager.yml").write_text(
            yaml.safe_dump(
                {"route": {"receiver": "nobody", "group_by": ["alertname"]}, "receivers": [{"name": "nobody"}]}
            )
        )
        exits.enter_context(
            _process(
                [
                    PROMETHEUS,
                    f"--config.file={folder}/prometheus.yml",
                    f"--storage.tsdb.path={folder}/data",
                    f"--web.listen-address=127.0.0.1:{port}",
                    "--enable-feature=exemplar-storage",
                ],
                folder / "prometheus.log",
            )
        )
        exits.enter_context(
            _process(
                [
                    ALERTMANAGER,
                    f"--config.file={folder}/alertmanager.yml",
                    f"--storage.path={folder}/alertmanager",
                    f"--web.listen-address=127.0.0.1:{alertmanager_port}",
                    "--cluster.listen-address=",
                ],
                folder / "alertmanager.log",
            )
        )
        _until_alive(found)
        yield found


@contextmanager
def _emulated() -> Iterator[Stack]:
    """Run the emulator in a thread with a loop of its own: each test has another loop."""
    now_s = time.time()
    targets = [
        Target("demo", "shop.test:80", {}, shop(now_s)),
        Target("broken", "127.0.0.1:1", {}, [], down_since_s=0),
    ]

    async def serve(started: queue.Queue[Stack | BaseException], stop: asyncio.Event) -> None:
        try:
            async with running(targets, rules=yaml.safe_dump(RULES), interval_s=1, history_s=60) as emulator:
                started.put(Stack(emulator.url, emulator.alertmanager_url))
                await stop.wait()
        except BaseException as error:
            started.put(error)
            raise

    started: queue.Queue[Stack | BaseException] = queue.Queue()
    with asyncio.Runner() as runner:
        loop, stop = runner.get_loop(), asyncio.Event()
        thread = threading.Thread(target=lambda: runner.run(serve(started, stop)), daemon=True)
        thread.start()
        try:
            found = started.get(timeout=READY_S)
            if isinstance(found, BaseException):
                raise found
            yield found
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(READY_S)


def _configuration(exporter: str, closed: str, alertmanager_port: int) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": SCRAPE, "evaluation_interval": "250ms", "scrape_timeout": SCRAPE},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager_port}"]}]}]},
        "scrape_configs": [
            {"job_name": "demo", "static_configs": [{"targets": [exporter]}]},
            {"job_name": "broken", "params": {"token": ["hunter2"]}, "static_configs": [{"targets": [closed]}]},
            {
                "job_name": "gone",
                "static_configs": [{"targets": ["gone.test:80"], "labels": {"site": "old"}}],
                "relabel_configs": [{"source_labels": ["site"], "regex": "old", "action": "drop"}],
            },
        ],
    }


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _until_alive(found: Stack) -> None:
    """Wait until rates can be computed and the alerts have reached Alertmanager."""
    deadline = time.monotonic() + READY_S
    with httpx.Client(trust_env=False, timeout=5) as http:
        while time.monotonic() < deadline:
            try:
                # Four scrapes: enough for every rate over a short window.
                scrapes = http.get(f"{found.url}/api/v1/query", params={"query": "count_over_time(demo_odd[1m]) >= 4"})
                alerts = http.get(f"{found.alertmanager_url}/api/v2/alerts")
                rules = http.get(f"{found.url}/api/v1/rules", params={"type": "record"}).text
                targets = http.get(f"{found.url}/api/v1/targets").text
                evaluated = "err" in rules and "refused" in targets
                if scrapes.json()["data"]["result"] and len(alerts.json()) >= 3 and evaluated:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
    pytest.fail("Prometheus and Alertmanager did not become ready")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as exits:
        sockets = [exits.enter_context(socket.socket()) for _ in range(count)]
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [found.getsockname()[1] for found in sockets]


@dataclass(frozen=True, slots=True)
class Caller:
    """The server with these settings, as one person sees it; connected anew for each call."""

    settings: dict[str, Any]
    principal: Principal = ALICE

    async def call(self, tool: str, **arguments: Any) -> Any:
        # Not one connection for a whole test: a fixture ends in another task than it began in, which anyio forbids.
        async with connected(create(self.settings), self.principal) as connection:
            try:
                return await connection.call(tool, **arguments)
            except ToolError as error:
                failed = error
        raise failed  # outside, where no task group wraps it


@pytest.fixture
def prometheus(stack: Stack) -> Caller:
    """The server in front of the real vendors, as Alice sees it."""
    return Caller({"url": stack.url, "alertmanager_url": stack.alertmanager_url})
