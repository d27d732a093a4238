"""A real HTTP server on loopback that returns the replies of a test's function, and a session for its requests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from analytics_assets.config.models import RequestsConfig
from analytics_assets.ingestion.http.breaker_client import Breaker, CircuitStore
from analytics_assets.ingestion.http.circuit_breaker import Policy
from analytics_assets.ingestion.http.origins import Origins
from analytics_assets.ingestion.http.rate_limit import RateLimiter
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.session import ApiSession
from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets_tests.memory_circuit import MemoryCircuit


@dataclass(frozen=True)
class Asked:
    """One request, as the server received it."""

    method: str
    path: str
    params: dict[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """One reply, with a JSON value or with raw bytes as its body."""

    content: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def answering(reply: Callable[[Asked], Reply | Any]) -> Iterator[str]:
    """Serves the replies of the function `reply` within a `with` block. Yields the base URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            said = reply(Asked(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body))
            said = said if isinstance(said, Reply) else Reply(said)
            content = said.content if isinstance(said.content, bytes) else json.dumps(said.content).encode()
            self.send_response(said.status)
            for name, value in {"Content-Length": str(len(content)), **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            if said.headers.get("Content-Length"):
                self.close_connection = True  # the headers state another length

        do_POST = do_GET  # noqa: N815  the HTTP method is in the name

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: Any) -> None:
            pass  # the client closed the connection, as at the end of paging

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Everywhere(Origins):
    """Trusts every server."""

    def trusts(self, url: str) -> bool:  # noqa: ARG002  every URL
        return True


EVERYWHERE = _Everywhere("")
"""For tests that are not about where a request may go."""


def api_session(
    resource: str = "rows",
    *,
    origins: Origins = EVERYWHERE,
    secrets: Secrets | None = None,
    telemetry: Telemetry | None = None,
    limiter: RateLimiter | None = None,
    log: CircuitStore | None = None,
    sleep: Callable[[float], None] = lambda _: None,
    jitter: Callable[[], float] = lambda: 0.0,
    clock: Callable[[], float] = time.monotonic,
    **config: Any,
) -> ApiSession:
    """An `ApiSession` as in a sync, but without real waits and without jitter."""
    return ApiSession(
        resource,
        origins,
        limiter or RateLimiter(RequestsConfig(**config)),
        Breaker(log or MemoryCircuit(Policy(300, 21_600, 100)), resource, "a run", sleep=lambda _: None),
        secrets or Secrets(),
        telemetry or Telemetry(resource),
        sleep=sleep,
        jitter=jitter,
        clock=clock,
    )
