"""How fast pages are fetched: the session as a sync uses it, beside a bare urllib3 thread pool, in one run.

`make bench` runs it. Both ask the same server, another process on this machine, for the same 100,000 rows in
pages of 100, with as many requests in flight. The session does all it always does: truth of every page, overlap,
retry, budget, redaction, telemetry, and dlt's own client on top. Rows are counted and summed before a time counts.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import urllib3
import uvloop
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator

from analytics_assets.config import RequestsConfig
from analytics_assets.ingestion.answers import Reader
from analytics_assets.ingestion.breaker import Breaker, LocalLog
from analytics_assets.ingestion.circuit import Policy
from analytics_assets.ingestion.gate import Gate
from analytics_assets.ingestion.paginators import SweepPaginator
from analytics_assets.ingestion.redaction import Secrets
from analytics_assets.ingestion.session import ApiSession
from analytics_assets.ingestion.telemetry import Telemetry

ROWS, PAGE, IN_FLIGHT, ROUNDS = 100_000, 100, 16, 5
SECRET = "a-secret-that-is-looked-for-in-every-body"  # noqa: S105  of this benchmark alone


def row(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "customer_id": number % 997,
        "product_id": number % 41,
        "quantity": number % 5 + 1,
        "transaction_amount": f"{number % 2000}.{number % 100:02d}",
        "refunded_amount": None,
        "currency": ("EUR", "USD", "JPY")[number % 3],
        "status": "settled",
        "note": "call before delivery" if number % 4 == 0 else None,
        "created_at": "2026-01-05T00:00:00Z",
        "updated_at": "2026-01-05T00:00:00.123456Z",
    }


def serve(listener: socket.socket, latency: float) -> None:
    """A server that costs as little as it can: rows are rendered before, and joined to pages."""
    rendered = [json.dumps(row(number)).encode() for number in range(ROWS)]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            query = head.split(b" ", 2)[1].partition(b"?")[2]
            asked = dict(part.split(b"=") for part in query.split(b"&"))
            start = int(asked[b"offset"])
            page = b",".join(rendered[start : start + int(asked[b"limit"])])
            body = b'{"data":[' + page + b'],"total":%d}' % ROWS
            if latency:
                await asyncio.sleep(latency)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ")
            writer.write(b"%d\r\n\r\n" % len(body) + body)

    async def run() -> None:
        async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await answer(reader, writer)
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        server = await asyncio.start_server(quietly, sock=listener)
        await server.serve_forever()

    uvloop.run(run())


def by_session(url: str) -> list[dict[str, Any]]:
    gate = Gate(RequestsConfig(max_in_flight=IN_FLIGHT))
    reader = Reader("rows", "data", "total", paged=True)
    paginator = SweepPaginator(OffsetPaginator(PAGE), reader, ("id",), overlap=True)
    breaker = Breaker(LocalLog(Policy(cooldown=300, max_cooldown=300, lease=100)), "rows", "")
    secrets = Secrets({"stand-in": SECRET})
    with ApiSession("rows", gate, breaker, secrets, Telemetry("rows")) as session:
        pages = RESTClient(url, session=session).paginate("/rows", paginator=paginator, data_selector="$")
        return [one for page in pages for one in page]


def bare(url: str, parse: Callable[[bytes], Any] | None) -> list[Any]:
    pool = urllib3.PoolManager(maxsize=IN_FLIGHT)

    def fetch(offset: int) -> Any:
        body = pool.request("GET", f"{url}/rows?offset={offset}&limit={PAGE}").data
        return parse(body)["data"] if parse else body

    with ThreadPoolExecutor(IN_FLIGHT) as threads:
        pages = list(threads.map(fetch, range(0, ROWS, PAGE)))
    return [one for page in pages for one in page] if parse else pages


def timed(way: Callable[[], list[Any]], count: int) -> float:
    start = time.perf_counter()
    got = way()
    seconds = time.perf_counter() - start
    if len(got) != count or (count == ROWS and sum(one["id"] for one in got) != ROWS * (ROWS - 1) // 2):
        sys.exit(f"{len(got)} of {count}: a time without all rows counts for nothing")
    return seconds


def main() -> None:
    out = sys.stdout.write
    out(f"{ROWS:,} rows, pages of {PAGE}, {IN_FLIGHT} in flight, medians of {ROUNDS} rounds side by side\n\n")
    out(
        "| latency | session | urllib3, parsed | urllib3, bytes only | session / parsed | session / bytes |\n"
    )
    out("|---|---|---|---|---|---|\n")
    for latency in (0, 20, 50):
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = multiprocessing.Process(target=serve, args=(listener, latency / 1000), daemon=True)
        server.start()
        ways: list[tuple[Callable[[], list[Any]], int]] = [
            (lambda url=url: by_session(url), ROWS),  # type: ignore[misc]
            (lambda url=url: bare(url, msgspec.json.decode), ROWS),  # type: ignore[misc]
            (lambda url=url: bare(url, None), ROWS // PAGE),  # type: ignore[misc]
        ]
        timed(*ways[2])  # until the server has rendered its rows
        rounds = [[timed(*way) for way in ways] for _ in range(ROUNDS)]
        server.terminate()
        server.join()
        session, parsed, read = (statistics.median(one) for one in zip(*rounds, strict=True))
        times = f"{session:.2f} s | {parsed:.2f} s | {read:.2f} s"
        out(f"| {latency} ms | {times} | {session / parsed:.2f} | {session / read:.2f} |\n")


if __name__ == "__main__":
    main()
