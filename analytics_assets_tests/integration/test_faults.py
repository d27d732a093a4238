"""Every fault of the demo API: the number of requests, the outcome, the error text, and no key in any output."""

from __future__ import annotations

import base64
import json
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import yaml

from analytics_assets.demo_api.server import serve
from analytics_assets_tests.conftest import TODAY, DemoApi, Project, failure_of

KEY = "s3cr3t/Key+with=odd&chars~0123456789"
PATH = "/v1/products"  # 40 rows, one page
EVENTS = "/v1/events"  # 775 rows, eight pages
ROW = {"id": 1, "sku": KEY, "name": f"https://example.com/?key={quote(KEY, safe='')}", "category": "a"}
ROW |= {"unit_price": "1.00", "discontinued_at": None, "updated_at": "2026-01-01T00:00:00Z"}
MANY = list(range(2, 99))
UNREADABLE = "products: the response of GET /v1/products is not JSON. Check base_url and path"
HALTED = "products: halted after 4 attempts of GET /v1/products: "

# name, endpoint, fault, requests on the server, the sentence or None for a green run
ECHO = "rows that echo the key"
HOLDS_ROWS = (".duckdb", ".wal", ".parquet", ".jsonl", ".gz")
FAULTS: list[tuple[str, str, dict[str, Any], int, str | None]] = [
    ("503 for ever", PATH, {"status": 503}, 4, HALTED + "503 Service Unavailable"),
    ("429 for ever", PATH, {"status": 429, "retry_after": "0"}, 4, HALTED + "429 Too Many Requests"),
    ("a reset once", PATH, {"reset": True, "requests": [1]}, 2, None),
    ("a body cut short for ever", PATH, {"truncate": True}, 4, HALTED + "the response broke off"),
    ("HTML", PATH, {"body": f"<html>{KEY}</html>"}, 1, UNREADABLE),
    ("an error body that echoes the key", PATH, {"status": 400, "body": KEY}, 1, "400 Bad Request"),
    ("no rows of 40", PATH, {"body": '{"data": [], "total": 40}'}, 2, "rows end at 0 of 40"),
    (ECHO, PATH, {"body": json.dumps({"data": [ROW], "total": 1})}, 1, None),
    ("rows deleted midway", EVENTS, {"shift": 3, "requests": MANY}, -1, None),
    ("500 for ever", PATH, {"status": 500}, 4, HALTED + "500 Internal Server Error"),
    ("503 three times", PATH, {"status": 503, "requests": [1, 2, 3]}, 4, None),
    ("404", PATH, {"status": 404}, 1, "404 Not Found; there is no such endpoint: check base_url and path"),
    (
        "403",
        PATH,
        {"status": 403},
        1,
        "403 Forbidden; the key may not read this: check SOURCES__ANALYTICS_API__API_KEY",
    ),
    ("a reset for ever", PATH, {"reset": True}, 4, HALTED + "the connection to 127.0.0.1:"),
    ("a body cut short once", PATH, {"truncate": True, "requests": [1]}, 2, None),
    ("no answer in time", PATH, {"delay": 0.5}, 4, HALTED + "no response in time"),
    ("late once", PATH, {"delay": 0.5, "requests": [1]}, 2, None),
    ("null for rows", PATH, {"body": '{"data": null, "total": 40}'}, 1, "data_selector `data` finds null"),
    ("503 midway", EVENTS, {"status": 503, "requests": MANY}, -1, "GET /v1/events: 503 Service Unavailable"),
]


@pytest.fixture(scope="module")
def secret_api() -> Iterator[DemoApi]:
    with serve(api_key=KEY, today=TODAY) as url:
        yield DemoApi(url, TODAY)


@pytest.fixture
def everything(
    project: Project,
    secret_api: DemoApi,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> Iterator[Project]:
    """A project whose outputs are kept, and searched for the key at the end.

    The outputs are event log and compute logs of a Dagster instance, DuckDB, dlt's working directories, stdout, stderr,
    and the DEBUG log. If the API sends the key in a row, the files with rows have it, because rows stay as they came.
    """
    monkeypatch.setenv("ANALYTICS_API_BASE_URL", secret_api.url)
    monkeypatch.setenv("SOURCES__ANALYTICS_API__API_KEY", KEY)
    monkeypatch.setenv("TMPDIR", str(project.folder))
    monkeypatch.setattr(tempfile, "tempdir", str(project.folder))
    monkeypatch.setattr(tempfile.TemporaryDirectory, "cleanup", lambda self: self._finalizer.detach())
    project.keep_on_disk()
    handler = logging.FileHandler(project.folder / "debug.log")
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in ("dlt", "urllib3"))]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
    try:
        yield project
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
            logger.removeHandler(handler)
        handler.close()
    (project.folder / "stdout.txt").write_text("".join(capfd.readouterr()))
    spellings = {KEY, quote(KEY, safe=""), quote_plus(KEY), quote(KEY), quote(KEY, safe="").lower()}
    spellings |= {json.dumps(KEY)[1:-1].replace("/", "\\/"), base64.b64encode(KEY.encode()).decode()}
    files = [path for path in project.folder.rglob("*") if path.is_file()]
    assert any("urllib3" in path.read_text() for path in files if path.name == "stdout.txt") or any(
        "/v1/" in path.read_text() for path in files if path.name == "debug.log"
    ), "nothing was logged at DEBUG: the search would prove nothing"
    hits = [
        (path.relative_to(project.folder), spelling)
        for path in files
        for spelling in spellings
        if not (ECHO in request.node.name and path.suffix in HOLDS_ROWS)
        if spelling.encode() in path.read_bytes()
    ]
    assert hits == []


@pytest.fixture
def hasty_yaml(impatient_yaml: str) -> str:
    document = yaml.safe_load(impatient_yaml)
    document["attributes"]["requests"]["read_timeout"] = 0.2
    return yaml.safe_dump(document)


@pytest.mark.matrix(keep=5)
@pytest.mark.parametrize(
    ("path", "fault", "requests", "sentence"), [one[1:] for one in FAULTS], ids=[one[0] for one in FAULTS]
)
def test_every_fault(
    everything: Project,
    secret_api: DemoApi,
    hasty_yaml: str,
    path: str,
    fault: dict[str, Any],
    requests: int,
    sentence: str | None,
) -> None:
    secret_api.set_faults({"path": path, **fault})
    resource = Path(path).name
    result = everything.run(everything.definitions(hasty_yaml), resource)
    counted = secret_api.request_counts()[path]
    if requests > 0:
        assert counted == requests
    else:
        assert counted <= 40  # the number of requests in flight depends on timing
    if sentence is None:
        assert result.success
        return
    assert sentence in str(failure_of(result).description)
    assert not everything.database.exists() or everything.query("FROM duckdb_tables()") == []
    if "halted after 4" in sentence:
        run = everything.instance.get_run_by_id(result.run_id)
        assert run is not None
        assert run.tags["dagster/retry_on_asset_or_op_failure"] == "false"


def test_a_refused_connection_and_a_wrong_key_keep_it_too(
    everything: Project, hasty_yaml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything.run(everything.definitions(hasty_yaml), "products")
    monkeypatch.setenv("ANALYTICS_API_BASE_URL", "http://127.0.0.1:9")
    failure = failure_of(everything.run(everything.definitions(hasty_yaml), "products"))
    assert "no connection to 127.0.0.1:9; check base_url, or whether the API is up" in str(
        failure.description
    )


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize(
    "auth",
    [
        {"type": "api_key", "name": "X-Odd-Header", "location": "header"},
        {"type": "api_key", "name": "appkey", "location": "query"},
        {"type": "bearer"},
        {"type": "http_basic", "username": "me"},
    ],
)
def test_in_any_parameter_or_header(
    everything: Project,
    hasty_yaml: str,
    monkeypatch: pytest.MonkeyPatch,
    auth: dict[str, str],
) -> None:
    for field in ("TOKEN", "PASSWORD"):
        monkeypatch.setenv(f"SOURCES__ANALYTICS_API__{field}", KEY)
    document = yaml.safe_load(hasty_yaml)
    document["attributes"]["rest_api"]["client"]["auth"] = auth
    failure = failure_of(everything.run(everything.definitions(yaml.safe_dump(document)), "products"))
    assert "401 Unauthorized" in str(failure.description)  # the demo API expects the key at another place
