"""What a user reads when PostgreSQL cannot be used: one sentence, before any request."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from analytics_assets import read_warehouse, write_warehouse
from analytics_assets.ingestion.errors import (
    DestinationSettingsError,
    InexactDestinationError,
    NameTooLongError,
    PooledConnectionError,
    SyncError,
    UnreachableWarehouseError,
    ViewInPlaceOfTableError,
)
from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.conftest import Project
from analytics_assets_tests.postgres import PostgresWarehouse
from analytics_assets_tests.real_api import defs


def refused(project: Project, error: type[SyncError]) -> Any:
    """The error of a sync, which sends no request."""
    asked: list[Asked] = []

    def reply(request: Asked) -> Any:
        asked.append(request)
        return {"data": [{"id": 1}]}

    with answering(reply) as url, pytest.raises(error) as caught:
        project.load(defs(url, paginator="single_page"), "things")
    assert asked == []
    assert "\n" not in str(caught.value)
    return caught.value


def port_of(url: str) -> str:
    return url.rpartition("@")[2].partition("/")[0].rpartition(":")[2]


def test_a_server_that_is_away(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        url = f"postgresql://somebody:a-secret-password@127.0.0.1:{port}/x"
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)
        error = refused(project, UnreachableWarehouseError)
    assert f"postgresql://127.0.0.1:{port}/x cannot be opened" in str(error)
    assert "Connection refused" in str(error)
    assert "a-secret-password" not in str(error)


@pytest.mark.parametrize(
    ("database", "role", "problem"),
    [
        ("nowhere", "dagster", 'database "nowhere" does not exist'),
        ("postgres", "nobody", 'role "nobody" does not exist'),
    ],
)
def test_a_database_or_a_role_that_does_not_exist(
    project: Project,
    warehouse: PostgresWarehouse,
    monkeypatch: pytest.MonkeyPatch,
    database: str,
    role: str,
    problem: str,
) -> None:
    url = f"postgresql://{role}@127.0.0.1:{port_of(warehouse.url)}/{database}"
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)
    assert problem in refused(project, UnreachableWarehouseError).problem


def test_a_role_that_may_not_make_schemas(
    project: Project, warehouse: PostgresWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may use those that somebody made for it."""
    role = f"role_{warehouse.name}"
    warehouse.execute(f"CREATE ROLE {role} LOGIN")
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", warehouse.url.replace("dagster@", f"{role}@"))
    assert "permission denied for database" in refused(project, UnreachableWarehouseError).problem
    warehouse.execute(
        f"CREATE SCHEMA api AUTHORIZATION {role}; CREATE SCHEMA _api_staging AUTHORIZATION {role}"
    )
    with answering(lambda _: {"data": [{"id": 1}]}) as url:
        assert project.load(defs(url, paginator="single_page"), "things").rows_loaded == 1
    warehouse.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"DESTINATION__POSTGRES__CREDENTIALS": None}, "credentials are not set"),
        ({"DESTINATION__POSTGRES__CREDENTIALS": "nonsense"}, "is no connection string"),
        ({"DESTINATION_TYPE": "nonsense"}, "dlt has no such destination"),
        ({"DESTINATION_TYPE": "snowflake"}, "credentials are not set"),
    ],
)
def test_settings_that_name_no_warehouse(
    project: Project, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str | None], problem: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    error = refused(project, DestinationSettingsError)
    assert problem in error.problem


def test_a_driver_that_is_not_installed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith("analytics_assets.ingestion.warehouse.postgres"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "adbc_driver_manager", None)
    error = refused(project, DestinationSettingsError)
    assert "pip install 'analytics_assets[postgres]'" in error.fix


def test_a_database_that_changes_values_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESTINATION_TYPE", "sqlalchemy")
    monkeypatch.setenv("DESTINATION__SQLALCHEMY__CREDENTIALS", f"sqlite:///{project.folder}/x.db")
    assert refused(project, InexactDestinationError).destination == "sqlite"


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_text(
    project: Project, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    with PostgresWarehouse.of_encoding(encoding) as other:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", other.url)
        assert f"has the encoding {encoding}" in refused(project, InexactDestinationError).problem


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_a_view_in_place_of_a_table(project: Project, warehouse: PostgresWarehouse, kind: str) -> None:
    warehouse.execute(f"CREATE SCHEMA api; CREATE {kind} api.things AS SELECT 1 AS id")
    with answering(lambda _: {"data": [{"id": 1}]}) as url, pytest.raises(ViewInPlaceOfTableError):
        project.load(defs(url, paginator="single_page"), "things")


@pytest.mark.parametrize(
    ("table", "column", "child", "name"),
    [
        ("t" * 52, "c", "", f"{'t' * 52}__quarantine"),
        ("t", "c" * 64, "", "c" * 64),
        ("t", "c", "d" * 61, f"t__{'d' * 61}"),
    ],
)
def test_a_name_that_is_too_long(project: Project, table: str, column: str, child: str, name: str) -> None:
    """dlt would shorten it, and the quarantine would look empty."""
    resource = {
        "table_name": table,
        "columns": {"id": {"data_type": "bigint"}, column: {"data_type": "text"}},
    }
    text = defs("http://127.0.0.1:1", resource=resource, asset={"child_tables": [child]} if child else {})
    with pytest.raises(NameTooLongError) as caught:
        project.load(text, "things")
    assert (caught.value.name, caught.value.most) == (name, 63)


def test_names_of_the_most_characters(project: Project, warehouse: PostgresWarehouse) -> None:
    """Long names of fields that are not declared are shortened by dlt alone."""
    table, column = "t" * 51, "c" * 63
    row = {"id": 1, column: "x", "u" * 100: "y", "l" * 100: [{"n" * 100: 1}]}
    resource = {
        "table_name": table,
        "columns": {"id": {"data_type": "bigint"}, column: {"data_type": "text"}},
    }
    with answering(lambda _: {"data": [row, {"id": "bad"}]}) as url:
        asset = {"max_quarantined": 1}
        text = defs(url, resource=resource, asset=asset, paginator="single_page")
        for _ in range(2):
            result = project.load(text, "things")
            assert (result.rows_loaded, result.rows_quarantined) == (1, 1)
    [found] = warehouse.query(f"SELECT * FROM api.{table}")
    assert (found[column], "y" in found.values()) == ("x", True)
    assert len(warehouse.query(f"SELECT * FROM api.{table}__quarantine")) == 1


def test_own_code_reads_and_writes(project: Project, warehouse: PostgresWarehouse) -> None:
    with answering(lambda _: {"data": [{"id": 1}]}) as url:
        text = defs(url, paginator="single_page")
        project.load(text, "things")
        with read_warehouse() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM api.things")
            assert cursor.fetchall() == [(1,)]
            project.load(text, "things")  # a reader keeps nobody waiting
            with pytest.raises(Exception, match="read-only transaction"):
                cursor.execute("DELETE FROM api.things")
    with write_warehouse() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA own; CREATE TABLE own.copy AS SELECT * FROM api.things")
    assert len(warehouse.query("SELECT * FROM own.copy")) == 1
    with pytest.raises(psycopg2.errors.UndefinedTable), write_warehouse() as connection:
        connection.cursor().execute("DROP TABLE own.copy; SELECT * FROM nothing")
    assert len(warehouse.query("SELECT * FROM own.copy")) == 1


@pytest.fixture
def pooler(warehouse: PostgresWarehouse) -> Iterator[Any]:
    """Starts PgBouncer in a mode, and yields the URL of the warehouse through it."""
    program = shutil.which("pgbouncer")
    assert program, "there is no pgbouncer: run these tests with `make postgres`"
    started: list[subprocess.Popen[bytes]] = []

    def start(mode: str) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        folder = Path("/tmp") / f"pgbouncer-{port}"  # noqa: S108  PgBouncer runs as another user
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
        (folder / "users.txt").write_text('"dagster" ""\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={port_of(warehouse.url)}\n[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = trust\nauth_file = {folder}/users.txt\n"
            f"pool_mode = {mode}\nunix_socket_dir =\nignore_startup_parameters = options,extra_float_digits\n"
        )
        as_user = ["-u", "postgres"]
        started.append(
            subprocess.Popen(
                [program, "-q", *as_user, str(folder / "pgbouncer.ini")], stderr=subprocess.DEVNULL
            )
        )
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    return warehouse.url.replace(f":{port_of(warehouse.url)}/", f":{port}/")
            time.sleep(0.05)
        raise AssertionError("pgbouncer did not start")

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("mode", ["transaction", "statement", "session"])
def test_a_pooler(project: Project, pooler: Any, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    """A run holds its locks by its connection, so only a pooler of sessions may be between."""
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", pooler(mode))
    if mode == "session":
        with answering(lambda _: {"data": [{"id": 1}]}) as url:
            assert project.load(defs(url, paginator="single_page"), "things").rows_loaded == 1
    else:
        refused(project, PooledConnectionError)
