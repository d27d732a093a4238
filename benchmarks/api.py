"""The benchmark API: its rows, and a server that needs almost no CPU time.

The server shares two cores with the measured process, so its CPU time is noise in every result. For this reason most
rows differ only in `id`, and a page is one format string with the ids filled in.
"""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from multiprocessing import get_context
from typing import Any, cast

import uvloop

PATH, PAGE = "/rows", 100
SECRET = "a-secret-that-is-looked-for-in-every-body"  # noqa: S105  of these benchmarks alone
VARIANTS = 6_000
"""The number of rows that differ in more than `id`. After these rows, the values repeat."""

COLUMNS = {
    "id": "BIGINT",
    "customer_id": "BIGINT",
    "product_id": "BIGINT",
    "quantity": "BIGINT",
    "transaction_amount": "DECIMAL(18,2)",
    "refunded_amount": "DECIMAL(18,2)",
    "currency": "VARCHAR",
    "status": "VARCHAR",
    "note": "VARCHAR",
    "created_at": "TIMESTAMP WITH TIME ZONE",
    "updated_at": "TIMESTAMP WITH TIME ZONE",
}
"""The DuckDB type of each column of a row."""


def row(number: int, day: str = "2026-01-05") -> dict[str, Any]:
    """Returns one row of the API.

    Args:
        number: the position of the row, from 0, which is also its `id`.
        day: the day of the row's last update.
    """
    variant = number % VARIANTS
    return {
        "id": number,
        "customer_id": variant % 997,
        "product_id": variant % 41,
        "quantity": variant % 5 + 1,
        "transaction_amount": f"{variant % 2000}.{variant % 100:02d}",
        "refunded_amount": "1.50" if variant % 50 == 7 else None,
        "currency": ("EUR", "USD", "JPY")[variant % 3],
        "status": "settled",
        "note": "call before delivery" if variant % 4 == 0 else None,
        "created_at": "2026-01-05T00:00:00Z",
        "updated_at": f"{day}T{timedelta(hours=12, seconds=variant, microseconds=variant % 7)}Z",
    }


@dataclass(frozen=True)
class Rows:
    """The rows of the API.

    Attributes:
        count: the number of rows.
        stride: the difference between two consecutive ids.
        day: the day of the last update of all rows.
    """

    count: int
    stride: int = 1
    day: str = "2026-01-05"

    def page(self, offset: int, limit: int) -> bytes:
        """Returns the body of the page at an offset."""
        end = min(offset + limit, self.count)
        first = min(offset, end)
        ids = range(first * self.stride, end * self.stride, self.stride)
        rows = _template(first % VARIANTS, end - first, self.day) % tuple(ids)
        return b'{"data":[' + rows + b'],"total":%d}' % self.count

    def changed(self) -> Rows:
        """Returns one row in a hundred, with an update a month later."""
        return Rows(self.count // 100, stride=self.stride * 100, day="2026-02-05")


@lru_cache
def _variants(day: str) -> list[bytes]:
    """Returns each row as JSON, with a placeholder for its `id`."""
    rendered = (json.dumps(row(number, day), separators=(",", ":")) for number in range(VARIANTS))
    return [b'{"id":%d' + one[one.index(",") :].encode() for one in rendered]


@lru_cache(maxsize=VARIANTS)
def _template(variant: int, length: int, day: str) -> bytes:
    """Returns a page of rows with placeholders for the ids. The cache helps because a sync reads equal pages often."""
    variants = _variants(day)
    return b",".join(variants[number % VARIANTS] for number in range(variant, variant + length))


class _Connection(asyncio.Protocol):
    """One connection. An asyncio protocol needs half the CPU time of streams and tasks."""

    requests = 0  # of all connections

    def __init__(self, rows: Rows, latency: float) -> None:
        self._rows = rows
        self._latency = latency
        self._begun = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        *heads, self._begun = (self._begun + data).split(b"\r\n\r\n")
        for head in heads:
            answer = self._answer(head.split(b" ", 2)[1])
            if self._latency:
                asyncio.get_running_loop().call_later(self._latency, self._transport.write, answer)
            else:
                self._transport.write(answer)

    def _answer(self, target: bytes) -> bytes:
        path, _, query = target.partition(b"?")
        if path == b"/_requests":
            body = b"%d" % _Connection.requests
        else:
            _Connection.requests += 1
            asked = dict(part.split(b"=") for part in query.split(b"&"))
            body = self._rows.page(int(asked[b"offset"]), int(asked[b"limit"]))
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        return head % len(body) + body


def _serve(listener: socket.socket, rows: Rows, latency: float) -> None:
    async def run() -> None:
        def connection() -> _Connection:
            return _Connection(rows, latency)

        server = await asyncio.get_running_loop().create_server(connection, sock=listener)
        await server.serve_forever()

    _variants(rows.day)
    uvloop.run(run())


@dataclass(frozen=True)
class Api:
    """A running server."""

    url: str

    def requests(self) -> int:
        """Returns the number of page requests so far."""
        with urllib.request.urlopen(f"{self.url}/_requests", timeout=60) as answer:  # noqa: S310  ours
            return int(answer.read())


@contextmanager
def serving(rows: Rows, latency: float = 0) -> Iterator[Api]:
    """Runs the API in another process within a `with` block.

    Args:
        rows: the rows of the API.
        latency: the seconds before each response.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        process = get_context("spawn").Process(target=_serve, args=(listener, rows, latency), daemon=True)
        process.start()
        api = Api(f"http://127.0.0.1:{listener.getsockname()[1]}")
        try:
            api.requests()
            yield api
        finally:
            process.terminate()
            process.join()
