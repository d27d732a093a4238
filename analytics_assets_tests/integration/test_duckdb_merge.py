"""A merge from files produces the same tables as dlt's own destination."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pytest
from dlt.pipeline.pipeline import Pipeline

from analytics_assets.ingestion.errors import UnreachableWarehouseError
from analytics_assets.ingestion.warehouse.duckdb_merge import duckdb as merging_from_files
from analytics_assets.ingestion.warehouse.pipeline import open_pipeline

pytestmark = pytest.mark.duckdb

Load = Any

LOADS: list[Load] = [
    [{"id": 1, "v": "a", "at": 1, "items": [{"x": 1}, {"x": 2}]}, {"id": 2, "v": "b", "at": 1, "items": []}],
    [{"id": 2, "v": "newer", "at": 3}, {"id": 2, "v": "old", "at": 2}, {"id": 3, "v": None, "at": 1}],
    [{"id": 1, "v": "it's", "at": 4, "items": [{"x": 3}]}, {"id": 3, "gone": True, "at": 5}],
    [{"id": 4, "v": "column", "at": 6, "added": 1.5}],
    [{"id": 4, "v": "again", "at": 7, "items": [{"x": 4, "deep": [1]}, {"x": 5}]}],
]
FLAT: list[Load] = [[{name: one[name] for name in one if name != "items"} for one in rows] for rows in LOADS]


def load(destination: Any, directory: Path, loads: list[Load], **hints: Any) -> Pipeline:
    """Runs several loads one after the other, each with its rows and `hints`."""
    directory.mkdir(exist_ok=True)
    pipeline = dlt.pipeline(
        "p",
        pipelines_dir=str(directory / "p"),
        destination=destination(str(_file(directory))),
        dataset_name="d",
    )
    columns: Any = {
        "at": {"data_type": "bigint", "dedup_sort": "desc"},
        "gone": {"data_type": "bool", "hard_delete": True},
    }
    for rows in loads:
        table = {"name": "t", "write_disposition": "merge", "primary_key": "id", "columns": columns, **hints}
        pipeline.run(dlt.resource(rows, **table), loader_file_format="parquet")
    return pipeline


def tables(directory: Path) -> dict[str, Any]:
    """The columns and rows of each table, without the random values of dlt."""
    found: dict[str, Any] = {}
    with duckdb.connect(str(_file(directory))) as connection:
        names = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'd' AND table_name NOT LIKE '!_dlt%' ESCAPE '!'"
        )
        for (name,) in names.fetchall():
            columns = connection.execute(f"DESCRIBE d.{name}").fetchall()
            rows = connection.execute(f"SELECT COLUMNS('^[^_].*') FROM d.{name} ORDER BY ALL").fetchall()
            found[name] = (columns, rows)
        found["staged"] = connection.execute("SELECT count(*) FROM d_staging.t").fetchall()
    return found


def _file(directory: Path) -> Path:
    return directory / "it's.duckdb"


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize(
    ("loads", "hints"),
    [
        (LOADS, {}),
        (FLAT, {}),
        (FLAT, {"primary_key": ["id", "at"]}),
        (FLAT, {"primary_key": (), "merge_key": "id"}),
        ([FLAT[0], FLAT[3]], {"write_disposition": {"disposition": "merge", "strategy": "upsert"}}),
    ],
)
def test_the_tables_are_the_same(tmp_path: Path, loads: list[Load], hints: dict[str, Any]) -> None:
    ours = load(merging_from_files, tmp_path / "ours", loads, **hints)
    dlts = load(dlt.destinations.duckdb, tmp_path / "dlts", loads, **hints)
    got, expected = tables(tmp_path / "ours"), tables(tmp_path / "dlts")
    staged = got.pop("staged")
    assert (staged == [(0,)]) is ("write_disposition" not in hints)  # only delete-insert reads the files
    assert expected.pop("staged") != [(0,)]
    assert got == expected
    assert ours.destination.destination_description == dlts.destination.destination_description


def test_a_merge_that_fails_leaves_the_table(tmp_path: Path) -> None:
    load(merging_from_files, tmp_path, FLAT[:1])
    before = tables(tmp_path)
    rows = pa.table({"id": [1, 2], "v": ["lost", "lost"], "at": ["9", "no number"]})
    with pytest.raises(Exception, match="no number"):
        load(merging_from_files, tmp_path, [rows])
    assert tables(tmp_path) == before


ASK = """
from analytics_assets.ingestion.warehouse.pipeline import open_pipeline
with open_pipeline("s", "r") as pipeline, pipeline.dlt.sql_client() as sql:
    settings = "current_setting('memory_limit'), current_setting('preserve_insertion_order')"
    print(*sql.execute_sql(f"SELECT {settings}")[0], pipeline.database, sep="|")
"""


def test_settings_are_the_users_and_the_file_stays_where_it_is(tmp_path: Path) -> None:
    """With any setting of the credentials, dlt used one file per pipeline in the working directory."""
    for folder in ("data", ".dlt"):
        (tmp_path / folder).mkdir()
    (tmp_path / ".dlt/secrets.toml").write_text(
        '[destination.duckdb.credentials.global_config]\nmemory_limit = "256MB"\npreserve_insertion_order = "true"\n'
    )
    completed = subprocess.run(
        [sys.executable, "-c", ASK], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert completed.stdout.strip() == f"244.1 MiB|True|{tmp_path / 'data/analytics.duckdb'}"
    assert not list(tmp_path.glob("*.duckdb"))


def test_a_file_that_cannot_be_opened_fails_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no.duckdb").write_text(
        "this is no database, but a text that is long enough to look like one"
    )
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(tmp_path / "no.duckdb"))
    with pytest.raises(UnreachableWarehouseError, match=r"no.duckdb cannot be opened: .*not a valid DuckDB"):
        ask()
    (tmp_path / "file").touch()
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(tmp_path / "file/x.duckdb"))
    with pytest.raises(
        UnreachableWarehouseError,
        match=r"x.duckdb cannot be opened: nothing can be written .*\(Not a directory",
    ):
        ask()


def ask() -> None:
    with open_pipeline("s", "r") as pipeline, pipeline.exclusive() as client:
        client.sql_client.execute_sql("SELECT 1")
