"""Requests that go through a proxy: one with TLS of its own, and one for which the pool has a class of connections."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from urllib3 import HTTPConnectionPool, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from analytics_assets.config.models import RequestsConfig
from analytics_assets.ingestion.http.deadline import Sockets, connection_class
from analytics_assets.ingestion.http.rate_limit import RateLimiter
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets.ingestion.http.wire import Wire, WireRequest
from analytics_assets_tests.answering import answering

Serve = Callable[[ssl.SSLSocket], None]


def without_certificate(side: int) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("aNULL:@SECLEVEL=0")
    return context


def tls_server(opened: ExitStack, serve: Serve) -> int:
    """Serves each connection in a thread. Returns the port."""
    server = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
    context = without_certificate(ssl.PROTOCOL_TLS_SERVER)

    def one(connection: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
            serve(secure)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=one, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(server.getsockname()[1])


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65_536):
            target.sendall(part)


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")  # there is no certificate
def test_the_end_of_a_session_ends_a_read_through_a_proxy_with_tls() -> None:
    asked, until = threading.Event(), threading.Event()

    def api(connection: ssl.SSLSocket) -> None:
        connection.recv(65_536)
        asked.set()
        until.wait(30)

    def proxy(connection: ssl.SSLSocket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        with socket.create_connection(("127.0.0.1", api_port)) as behind:
            threading.Thread(target=pump, args=(behind, connection), daemon=True).start()
            pump(connection, behind)

    with ExitStack() as opened:
        opened.callback(until.set)
        api_port, proxy_port = tls_server(opened, api), tls_server(opened, proxy)
        client = without_certificate(ssl.PROTOCOL_TLS_CLIENT)
        manager = ProxyManager(
            f"https://127.0.0.1:{proxy_port}",
            ssl_context=client,
            proxy_ssl_context=client,
            cert_reqs="CERT_NONE",
        )
        sockets = Sockets()
        pool = manager.connection_from_url(f"https://127.0.0.1:{api_port}")
        pool.ConnectionCls = connection_class(HTTPSConnection, 30, sockets)
        threads = opened.enter_context(ThreadPoolExecutor(1))
        read = threads.submit(pool.urlopen, "GET", "/rows", retries=False)
        assert asked.wait(30)
        sockets.abort()
        with pytest.raises(HTTPError):
            read.result(30)
        assert not until.is_set(), "the API has not answered"


class ThroughSocks(HTTPConnection):
    """A connection that needs to know its proxy, as urllib3's connections through SOCKS do."""

    def __init__(self, *args: Any, _socks_options: tuple[str, int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._proxy = _socks_options

    def _new_conn(self) -> socket.socket:
        return socket.create_connection(self._proxy)


class SocksPool(HTTPConnectionPool):
    ConnectionCls = ThroughSocks


def test_a_pool_keeps_its_own_way_to_connect() -> None:
    limiter = RateLimiter(RequestsConfig())
    wire = Wire("rows", limiter, Secrets(), Telemetry("rows"), lambda: None)
    with answering(lambda asked: {"host": asked.headers["host"]}) as url:
        pool = SocksPool("api.invalid", 80, _socks_options=("127.0.0.1", int(url.rsplit(":", 1)[1])))
        request = WireRequest("GET /rows", "api.invalid", pool, "GET", "/rows", {}, None)
        assert wire.read(request).body == b'{"host": "api.invalid"}'
    wire.abort()
