"""Compares the rows of a sync with the rows of the API: this project, and dlt alone with the same REST API config.

Each case is one habit of a real API. Both ways sync from one server on this machine into a new DuckDB file. The script
prints the table of docs/limitations.md. Run it as `python benchmarks/correctness.py`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dlt
import duckdb
import yaml
from dlt.sources.rest_api import rest_api_source

sys.path.insert(0, str(Path(__file__).parents[1]))  # the server and the defs.yaml of the tests

from analytics_assets.ingestion.errors import SyncError
from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import Project
from analytics_assets_tests.real_api import defs

Answer = Callable[[Asked], Any]
MOST_REQUESTS = 500
"""The number of requests of one sync after which the server ends the connection."""


@dataclass(frozen=True)
class Case:
    """One habit of an API.

    Attributes:
        habit: what the API does, for the table.
        answers: the answers of the API in each sync, the last of which is judged.
        config: the arguments of `defs`.
        query: the SQL that reads the loaded rows.
        right: the results of the query that are right.
    """

    habit: str
    answers: Sequence[Answer]
    query: str
    right: Sequence[list[list[Any]]]
    config: Mapping[str, Any] = field(default_factory=dict)


def page(rows: Any, **beside: Any) -> Answer:
    return lambda _: {"data": rows, **beside}


def columns(**kinds: str) -> dict[str, Any]:
    return {name: {"data_type": kind} for name, kind in {"id": "bigint", **kinds}.items()}


def resource(disposition: str = "replace", key: str | None = "id", **kinds: str) -> dict[str, Any]:
    return {"primary_key": key, "write_disposition": disposition, "columns": columns(**kinds)}


def ids(count: int) -> list[dict[str, Any]]:
    return [{"id": number} for number in range(count)]


def by_offset(rows: Sequence[Any], size: int = 50) -> Answer:
    def answer(asked: Asked) -> Any:
        start = int(asked.params.get("offset", 0))
        return {"data": rows[start : start + size], "total": len(rows)}

    return answer


def ties() -> Answer:
    shuffle = random.Random(4)  # noqa: S311  no secret
    rows = [{"id": n, "day": n // 4} for n in range(80)]

    def answer(asked: Asked) -> Any:
        mixed = sorted(shuffle.sample(rows, 80), key=lambda row: row["day"])
        return by_offset(mixed)(asked)

    return answer


def by_page(rows: Sequence[Any], pages: int) -> Answer:
    def answer(asked: Asked) -> Any:
        number = int(asked.params.get("page", 0))
        return {"data": rows[10 * number : 10 * number + 10], "pages": pages}

    return answer


def next_until(pages: int, told: int) -> Answer:
    """`next` is there for the first `told` of the pages, and `total` on all of them."""

    def answer(asked: Asked) -> Any:
        number = int(asked.params.get("page", 1))
        body = {"data": [{"id": 10 * number + n} for n in range(10)], "total": 10 * pages}
        return body | ({"next": f"/things?page={number + 1}"} if number <= told else {})

    return answer


def parents(asked: Asked) -> Any:
    if asked.path == "/parents":
        return {"data": [{"id": "a/b"}, {"id": "c"}]}
    return {"data": [{"id": 1, "of": asked.path}]}


def filtered(rows: Sequence[Any], by: str) -> Answer:
    def answer(asked: Asked) -> Any:
        since = asked.params.get("since", "")[:10]
        return {"data": [row for row in rows if row[by][:10] >= since]}

    return answer


def link_in_header(asked: Asked) -> Any:
    if asked.params.get("page") == "2":
        return Reply({"data": [{"id": 1}]})
    return Reply({"data": [{"id": 0}]}, headers={"Link": '</things?page=2>; rel="next"'})


def endless(asked: Asked) -> Any:
    number = int(asked.params.get("cursor", 0))
    return {"data": ids(3) if not number else [], "next": str(number + 1)}


COUNT = "SELECT count(*) FROM api.things"
SINGLE: dict[str, Any] = {"paginator": "single_page"}
OLD, NEW = "2026-01-04T00:00:00Z", "2026-01-05T00:00:00Z"
AT = {**SINGLE, "resource": resource("merge", at="timestamp"), "incremental": {"cursor_path": "at"}}


def value(kind: str, sent: Any, stored: Any) -> dict[str, Any]:
    """The arguments of a case in which one value of a column must be stored unchanged, or not at all."""
    return {
        "answers": [page([{"id": 0, "x": sent}])],
        "query": "SELECT x::VARCHAR FROM api.things",
        "right": [stored, [[None]]],  # dlt keeps it in a variant column
        "config": {**SINGLE, "resource": resource(x=kind), "asset": {"max_quarantined": "100%"}},
    }


def undeclared(first: Any, then: Any) -> dict[str, Any]:
    """The arguments of a case in which the second value of an undeclared field must not become another value."""
    return {
        "answers": [page([{"id": 0, "x": first}, {"id": 1, "x": then}])],
        "query": "SELECT x::VARCHAR FROM api.things WHERE id = 1",
        "right": [[[None]], [[str(then)]]],
        "config": SINGLE,
    }


CASES = [
    Case("120 rows of one day, `primary_key: day`, merge", [page([{"day": "d", "c": n} for n in range(120)])],
         COUNT, [[[120]]], {**SINGLE, "resource": {**resource("merge", "day"), "columns": {}}}),
    Case("rows with the same sort value in a new order at each request, by offset", [ties()],
         "SELECT count(DISTINCT id) FROM api.things", [[[80]]], {"paginator": {"type": "offset", "limit": 50}}),
    Case("`total: 250` beside 50 rows, no paginator", [page(ids(50), total=250)], COUNT, [[[250]]]),
    Case("`has_more: true`, no paginator", [page(ids(50), has_more=True)], COUNT, [[[51]]]),
    Case("a `Link` header with `rel=\"next\"`, `single_page`", [link_in_header], COUNT, [[[2]]], SINGLE),
    Case("`next` is missing from page 2 on, `total` says more", [next_until(4, 1)], COUNT, [[[40]]],
         {"paginator": {"type": "json_link", "next_url_path": "next"}}),
    Case("the total of pages is one too small", [by_page(ids(60), 5)], COUNT, [[[60]]],
         {"paginator": {"type": "page_number", "base_page": 0, "total_path": "pages"}}),
    Case("each empty page has a new cursor", [endless], COUNT, [[[3]]],
         {"paginator": {"type": "cursor", "cursor_path": "next"}}),
    Case("200 with `{\"error\": …}` after a good sync, `data_selector: data[*]`",
         [page(ids(50)), lambda _: {"error": "rate limited"}], COUNT, [[[50]]],
         {**SINGLE, "data_selector": "data[*]"}),
    Case("200 with `{\"data\": null, \"errors\": […]}` after a good sync",
         [page(ids(50)), page(None, errors=[{"message": "no"}])], COUNT, [[[50]]], SINGLE),
    Case("202 with `{\"status\": \"pending\"}` after a good sync",
         [page(ids(50)), lambda _: Reply({"status": "pending"}, 202)], COUNT, [[[50]]],
         {**SINGLE, "resource": {"primary_key": None}, "data_selector": None}),
    Case("no rows after a good full load of 50", [page(ids(50)), page([])], COUNT, [[[50]]], SINGLE),
    Case("`{\"errors\": [], \"orders\": [50 rows]}` without `data_selector`",
         [lambda _: {"errors": [], "orders": ids(50)}], COUNT, [[[50]]], {**SINGLE, "data_selector": None}),
    Case("one object with a list, `{\"id\": 1, \"tags\": […]}`, without `data_selector`",
         [lambda _: {"id": 1, "tags": [{"t": 1}, {"t": 2}]}], COUNT, [[[1]]],
         {**SINGLE, "resource": {"primary_key": None}, "data_selector": None}),
    Case("a row of the year 2099 in an incremental, then rows of today",
         [filtered([{"id": 0, "at": OLD}, {"id": 1, "at": "2099-01-01T00:00:00Z"}], "at"),
          filtered([{"id": 2, "at": NEW}], "at")], COUNT, [[[3]]],
         {**AT, "incremental": {"cursor_path": "at", "start_param": "since"}}),
    Case("a change that keeps the cursor value, merge",
         [page([{"id": 0, "at": NEW, "x": 1}]), page([{"id": 0, "at": NEW, "x": 2}])],
         "SELECT x FROM api.things", [[[2]]], {**AT, "resource": resource("merge", at="timestamp", x="bigint")}),
    Case("a parent with the id `a/b` in the path of its children", [parents],
         "SELECT \"of\" FROM api.things WHERE \"of\" LIKE '%b%'", [[["/parents/a%2Fb/things"]]],
         {**SINGLE, "resource": {**resource(key=None), "columns": {}}, "path": "parents/{resources.parents.id}/things",
          "parents": ({"name": "parents", "endpoint": {"path": "parents", "data_selector": "data", **SINGLE}},)}),
    Case("a timestamp `2026-01-05+02:00`", **value("timestamp", "2026-01-05+02:00", [])),
    Case("a timestamp in milliseconds as text, `\"1767571200000\"`", **value("timestamp", "1767571200000", [])),
    Case("a bigint `9007199254740993.0`", answers=[lambda _: Reply(b'{"data": [{"id": 0, "x": 9007199254740993.0}]}')],
         query="SELECT x FROM api.things", right=[[], [[9007199254740993]]],
         config={**SINGLE, "resource": resource(x="bigint"), "asset": {"max_quarantined": "100%"}}),
    Case("an undeclared field: a timestamp, then `\"7\"`", **undeclared(NEW, "7")),
    Case("an undeclared field: `true`, then `\"no\"`", **undeclared(True, "no")),
    Case("an undeclared field: a number, then `\"00501\"`", **undeclared(5, "00501")),
    Case("an undeclared field: a fraction, then 2^53 + 1", **undeclared(1.5, 2**53 + 1)),
    Case("`utm__source` and `utm: {source}` in one row",
         [page([{"id": 0, "utm__source": "a", "utm": {"source": "b"}}])],
         COUNT, [[]], {**SINGLE, "asset": {"max_quarantined": "100%"}}),
    Case("the fields `名前` and `住所`, which both become the column `x`",
         [page([{"id": 0, "名前": "a"}, {"id": 1, "住所": "b"}])], COUNT, [[[1]]],
         {**SINGLE, "asset": {"max_quarantined": "100%"}}),
]  # fmt: skip


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    sys.stdout.write(f"dlt {dlt.__version__}, duckdb {duckdb.__version__}\n\n")
    sys.stdout.write("| The API, or the config | dlt alone | this project |\n|---|---|---|\n")
    for case in CASES:
        sys.stdout.write(f"| {case.habit} | {outcome(case, _alone)} | {outcome(case, _ours)} |\n")
        sys.stdout.flush()


def outcome(case: Case, sync: Callable[[str], str | None]) -> str:
    """Runs a case in one way. Returns what happened in a few words."""
    current = list(case.answers)
    requests = 0

    def answer(asked: Asked) -> Any:
        nonlocal requests
        requests += 1
        return current[0](asked) if requests < MOST_REQUESTS else Reply({"data": []}, 400)

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), answering(answer) as url:
        text = defs(url, **case.config)
        failure = None
        while current:
            requests = 0
            failure = sync(text)
            current.pop(0)
        found = _found(case.query)
        quarantined = _found("SELECT 1 FROM api.things__quarantine")
    if requests >= MOST_REQUESTS:
        return f"**{requests:,} requests without an end**"
    if failure:
        return f"fails: {failure}"
    if found in case.right:
        return "right, the row is in quarantine" if quarantined else "right"
    return f"**green and wrong**: {'; '.join(', '.join(map(str, row)) for row in found) or 'no row'}"


def _found(query: str) -> list[list[Any]]:
    if not Path("data/analytics.duckdb").exists():
        return []
    with duckdb.connect("data/analytics.duckdb", read_only=True) as connection:
        try:
            return [list(row) for row in connection.execute(query).fetchall()]
        except duckdb.CatalogException:
            return []


def _ours(text: str) -> str | None:
    try:
        folder = Path(tempfile.mkdtemp(dir="."))
        Project(folder.absolute()).load(text, "things")
    except SyncError as error:
        return f"`{error.code}`"
    return None


def _alone(text: str) -> str | None:
    attributes = yaml.safe_load(text)["attributes"]
    Path("data").mkdir(exist_ok=True)
    pipeline = dlt.pipeline(
        "alone",
        pipelines_dir="dlt",
        destination=dlt.destinations.duckdb("data/analytics.duckdb"),
        dataset_name="api",
    )
    try:
        pipeline.run(rest_api_source(attributes["rest_api"]).with_resources("things"))
    except Exception as error:  # noqa: BLE001  any failure of dlt is an outcome
        cause: BaseException = error
        while cause.__cause__ or cause.__context__:
            cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
        return f"`{type(cause).__name__}`"
    finally:
        pipeline.deactivate()
    return None


if __name__ == "__main__":
    main()
