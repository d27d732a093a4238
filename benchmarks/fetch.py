"""Compares the speed of page requests: the session of a sync, and a bare urllib3 thread pool, in one run.

`make bench` runs this script. Both clients fetch the same 100,000 rows in pages of 100 from one server process on this
machine, with equally many requests in flight. The session includes page checks, overlap, retries, rate limit,
redaction, telemetry and dlt's client. The script verifies count and sum of the rows before it counts a time.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import msgspec
import urllib3
from api import PAGE, PATH, SECRET, Rows, serving
from circuit import breaker
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator

from analytics_assets.config.models import RequestsConfig
from analytics_assets.ingestion.http.dlt_paginators import PagingBySession
from analytics_assets.ingestion.http.origins import Origins
from analytics_assets.ingestion.http.page_reader import Paging
from analytics_assets.ingestion.http.rate_limit import RateLimiter
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.response import PagingFields, ResponseReader
from analytics_assets.ingestion.http.row_selection import RowRules
from analytics_assets.ingestion.http.session import ApiSession
from analytics_assets.ingestion.http.telemetry import Telemetry

ROWS, IN_FLIGHT, ROUNDS = 100_000, 16, 5


def by_session(url: str) -> list[dict[str, Any]]:
    limiter = RateLimiter(RequestsConfig(max_in_flight=IN_FLIGHT))
    reader = ResponseReader("rows", RowRules("data", paged=True), PagingFields("total"))
    paginator = PagingBySession(Paging(OffsetPaginator(PAGE), reader, ("id",)))
    secrets = Secrets({"reference": SECRET})
    with ApiSession("rows", Origins(url), limiter, breaker("rows"), secrets, Telemetry("rows")) as session:
        pages = RESTClient(url, session=session).paginate(PATH, paginator=paginator, data_selector="$")
        return [one for page in pages for one in page]


def bare(url: str, parse: Callable[[bytes], Any] | None) -> list[Any]:
    pool = urllib3.PoolManager(maxsize=IN_FLIGHT)

    def fetch(offset: int) -> Any:
        body = pool.request("GET", f"{url}{PATH}?offset={offset}&limit={PAGE}").data
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
        with serving(Rows(ROWS), latency / 1000) as api:
            ways: list[tuple[Callable[[], list[Any]], int]] = [
                (partial(by_session, api.url), ROWS),
                (partial(bare, api.url, msgspec.json.decode), ROWS),
                (partial(bare, api.url, None), ROWS // PAGE),
            ]
            timed(*ways[2])  # so that the server knows its pages
            rounds = [[timed(*way) for way in ways] for _ in range(ROUNDS)]
        session, parsed, read = (statistics.median(one) for one in zip(*rounds, strict=True))
        times = f"{session:.2f} s | {parsed:.2f} s | {read:.2f} s"
        out(f"| {latency} ms | {times} | {session / parsed:.2f} | {session / read:.2f} |\n")


if __name__ == "__main__":
    main()
