"""A server on loopback that writes to raw sockets, for answers that no HTTP library would send."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Got:
    """One request, as far as the server has read it.

    Attributes:
        number: the number of the request to this server, from 1.
        head: the request line and the headers.
    """

    number: int
    head: bytes

    @property
    def params(self) -> dict[str, str]:
        """The parameters of the query."""
        return dict(parse_qsl(urlsplit(self.head.split(b" ", 2)[1].decode()).query))

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies, by name."""
        lines = [line for line in self.head.split(b"\r\n") if line.lower().startswith(b"cookie:")]
        pairs = b";".join(line.partition(b":")[2] for line in lines).decode().split(";")
        return {name.strip(): value for name, _, value in (pair.partition("=") for pair in pairs) if name}


Respond = Callable[[socket.socket, Got], object]


@contextmanager
def raw_server(respond: Respond, *, keeps_open: bool = False) -> Iterator[str]:
    """Serves within a `with` block. Yields the base URL.

    Args:
        respond: a function that writes the answer to one request.
        keeps_open: whether a connection stays open for further requests.
    """
    listener, ended, numbers = socket.create_server(("127.0.0.1", 0)), threading.Event(), count(1)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):  # the client may close the connection
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not ended.is_set() and (head := _head(connection)):
                respond(connection, Got(next(numbers), head))
                if not keeps_open:
                    return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def _head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        received = connection.recv(65_536)
        if not received:
            return b""
        head += received
    return head


def answer_of(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """The bytes of an answer. The headers are whole lines."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body


def json_answer(content: Any, *headers: str) -> bytes:
    """The bytes of an answer with a JSON body."""
    body = json.dumps(content).encode()
    return answer_of(body, f"Content-Length: {len(body)}", "Content-Type: application/json", *headers)


@contextmanager
def no_room() -> Iterator[str]:
    """A server whose queue of connections is full. The kernel drops each further `SYN`, as a firewall does."""
    with ExitStack() as opened:
        server = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
