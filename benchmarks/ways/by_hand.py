"""A hand-written script for exactly this table, without retries, checks and configuration.

Threads fetch pages, and Arrow parses many pages at once into the declared types. Parquet files hold the rows outside
memory, and one DuckDB transaction merges the files into the table.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import duckdb
import orjson
import pyarrow as pa
import pyarrow.compute  # else in the midst of the run
import pyarrow.json
import pyarrow.parquet
import urllib3
from api import PAGE, PATH, SECRET

AHEAD = 4  # pages requested ahead per thread, so that no thread waits for the parser
BATCH = 250  # pages parsed at once

AMOUNT = pa.decimal128(18, 2)
MOMENT = pa.timestamp("us", "UTC")
ROW = pa.schema(
    {
        "id": pa.int64(),
        "customer_id": pa.int64(),
        "product_id": pa.int64(),
        "quantity": pa.int64(),
        "transaction_amount": AMOUNT,
        "refunded_amount": AMOUNT,
        "currency": pa.string(),
        "status": pa.string(),
        "note": pa.string(),
        "created_at": MOMENT,
        "updated_at": MOMENT,
    }
)
BODY = pyarrow.json.ParseOptions(pa.schema({"data": pa.list_(pa.struct(list(ROW))), "total": pa.int64()}))

CREATE = """
CREATE SCHEMA IF NOT EXISTS analytics_api;
CREATE TABLE IF NOT EXISTS analytics_api.transactions (
    id BIGINT NOT NULL, customer_id BIGINT, product_id BIGINT, quantity BIGINT,
    transaction_amount DECIMAL(18, 2), refunded_amount DECIMAL(18, 2),
    currency VARCHAR, status VARCHAR, note VARCHAR, created_at TIMESTAMPTZ, updated_at TIMESTAMPTZ
);
"""
MERGE = """
BEGIN;
DELETE FROM analytics_api.transactions WHERE id IN (SELECT id FROM '{file}');
INSERT INTO analytics_api.transactions BY NAME SELECT * FROM '{file}';
COMMIT;
"""


def sync(url: str, database: Path, in_flight: int) -> None:
    """Fetches all rows into a file, and puts them into the table."""
    file = database.with_suffix(".parquet")
    with pyarrow.parquet.ParquetWriter(file, ROW) as writer:
        for bodies in _batches(url, in_flight):
            parsed = pyarrow.json.read_json(BytesIO(b"\n".join(bodies)), parse_options=BODY)
            for rows in parsed["data"].chunks:
                writer.write_batch(pa.RecordBatch.from_struct_array(rows.flatten()))
    with duckdb.connect(str(database)) as connection:
        connection.execute("SET preserve_insertion_order = false")
        connection.execute(CREATE)
        connection.execute(MERGE.format(file=file))
    file.unlink()


def _batches(url: str, in_flight: int) -> Iterator[list[bytes]]:
    bodies: list[bytes] = []
    for body in _bodies(url, in_flight):
        bodies.append(body)
        if len(bodies) == BATCH:
            yield bodies
            bodies = []
    if bodies:
        yield bodies


def _bodies(url: str, in_flight: int) -> Iterator[bytes]:
    """Yields every page in order, and holds only the pages that are requested ahead."""
    with (
        urllib3.connection_from_url(url, maxsize=in_flight) as pool,
        ThreadPoolExecutor(in_flight) as threads,
    ):

        def fetch(offset: int) -> bytes:
            query = f"?api_key={SECRET}&offset={offset}&limit={PAGE}"
            return pool.request("GET", PATH + query).data

        first = fetch(0)
        yield first
        ahead: deque[Future[bytes]] = deque()
        for offset in range(PAGE, orjson.loads(first)["total"], PAGE):
            ahead.append(threads.submit(fetch, offset))
            if len(ahead) == AHEAD * in_flight:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
