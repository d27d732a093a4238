"""What is wrong with the DuckDB file or with a disk is one sentence, and the next sync after the cure is green."""

from __future__ import annotations

import gc
import resource
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from analytics_assets import lock_warehouse, read_warehouse, write_warehouse
from analytics_assets.ingestion.errors import (
    DamagedWarehouseError,
    DiskFullError,
    NoWorkingDirectoryError,
    SyncError,
    UnreachableWarehouseError,
    WarehouseBusyError,
)
from analytics_assets.ingestion.warehouse import locks
from analytics_assets.ingestion.warehouse.storage_errors import explain_duckdb
from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.conftest import Project

pytestmark = pytest.mark.duckdb

ROWS = [{"id": number, "text": f"row {number} " * 20} for number in range(3000)]


@pytest.fixture
def defs() -> Iterator[str]:
    """A defs.yaml with an append, whose API has all rows of `ROWS`."""
    things = {
        "name": "things",
        "primary_key": "id",
        "write_disposition": "replace",
        "endpoint": {"path": "/things", "data_selector": "data", "paginator": "single_page"},
        "columns": {"id": {"data_type": "bigint", "nullable": False}, "text": {"data_type": "text"}},
    }
    with answering(lambda _: {"data": ROWS}) as url:
        attributes = {"name": "api", "rest_api": {"client": {"base_url": url}, "resources": [things]}}
        yield yaml.safe_dump({"type": "analytics_assets.RestApiSync", "attributes": attributes})


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """No file of this process can grow above a size in bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize(
    ("size", "file"),
    [
        (8192, "analytics.duckdb"),  # while the file is made
        (4096, "analytics.duckdb"),
        (300_000, "analytics.duckdb.wal"),  # in the load
    ],
)
def test_a_full_disk_of_the_warehouse(project: Project, defs: str, size: int, file: str) -> None:
    with no_file_above(size), pytest.raises(DiskFullError) as caught:
        project.load(defs, "things")
    assert Path(caught.value.place).name == file
    assert caught.value.problem == "File too large"
    assert not project.database.exists() or project.database.stat().st_size >= 12_288
    assert project.load(defs, "things").row_count == len(ROWS)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # dlt leaves the file open
def test_a_full_disk_of_the_working_directory(
    project: Project, defs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setitem(ROWS[0], "text", "".join(map(chr, range(0x4E00, 0x9FFF))))  # hardly compressed
    with no_file_above(30_000), pytest.raises(DiskFullError) as caught:
        project.load(defs, "things")
    assert caught.value.place == str(folder)
    del caught
    gc.collect()
    assert not list(folder.iterdir())


def test_a_folder_for_temporary_files_that_is_gone(
    project: Project, defs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    with pytest.raises(NoWorkingDirectoryError) as caught:
        project.load(defs, "things")
    assert caught.value.problem == "No such file or directory"


def test_only_the_user_reads_the_working_directory(
    project: Project, defs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The warehouse and its lock files keep the user's umask, because others read them."""
    folder, modes = tmp_path / "temporary", list[int]()
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    def reply(_: Asked) -> Any:
        modes.extend(one.stat().st_mode for one in folder.iterdir())
        return {"data": ROWS}

    with answering(reply) as url:
        document = yaml.safe_load(defs)
        document["attributes"]["rest_api"]["client"]["base_url"] = url
        project.load(yaml.safe_dump(document), "things")
    assert [stat.S_IMODE(one) for one in modes] == [0o700]
    locks = Path(f"{project.database}.locks") / "api__things"
    assert stat.S_IMODE(project.database.stat().st_mode) & 0o044
    assert stat.S_IMODE(locks.stat().st_mode) & 0o044


def a_database(path: Path, rows: int = 100_000) -> bytes:
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"CREATE TABLE t AS SELECT i, 'row ' || i AS s FROM range({rows}) r(i)")
    return path.read_bytes()


def cut(path: Path) -> None:
    path.write_bytes(a_database(path)[:100_000])


def only_headers(path: Path) -> None:
    path.write_bytes(a_database(path)[:12_288])


def overwritten(path: Path) -> None:
    content = bytearray(a_database(path))
    content[5000:5010] = b"x" * 10
    path.write_bytes(content)


def of_version(version: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        content = bytearray(a_database(path))
        content[12:20] = struct.pack("<Q", version)
        checksum = 5381
        for (word,) in struct.iter_unpack("<Q", content[8:4096]):
            checksum ^= (word * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        content[:8] = struct.pack("<Q", checksum)
        path.write_bytes(content)

    return write


def with_log_of_another(path: Path) -> None:
    a_database(path)
    other = path.with_name("other.duckdb")
    code = f"import duckdb, os; c = duckdb.connect({str(other)!r}); c.execute('CREATE TABLE q (i INT)'); "
    code += "os._exit(0)"
    subprocess.run([sys.executable, "-c", code], check=True)
    Path(f"{other}.wal").rename(f"{path}.wal")


@pytest.mark.matrix(keep=4)
@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (cut, "damaged_warehouse", "Could not read enough bytes from file"),
        (only_headers, "damaged_warehouse", "Restore it from a backup"),
        (overwritten, "damaged_warehouse", "computed checksum"),
        (with_log_of_another, "damaged_warehouse", "WAL does not match database file"),
        (
            lambda path: path.write_text("hello\n" * 9),
            "damaged_warehouse",
            "not a valid DuckDB database file",
        ),
        (lambda path: path.write_text("hello\n" * 9999), "damaged_warehouse", "If the path is wrong"),
        (of_version(10**6), "duckdb_version", "a newer version of DuckDB made "),
        (of_version(3), "duckdb_version", "Export the file with the version that made it"),
        (Path.mkdir, "unreachable_warehouse", "it is a directory. Name a file"),
        (
            lambda path: path.symlink_to("/nonexistent/a.duckdb"),
            "unreachable_warehouse",
            "it is a link to /nonexistent/a.duckdb, which does not exist. Make the folder",
        ),
        (
            lambda path: path.symlink_to(path.name),
            "unreachable_warehouse",
            "Too many levels of symbolic links",
        ),
    ],
)
def test_a_file_that_is_no_warehouse(
    project: Project, defs: str, make: Callable[[Path], Any], code: str, says: str
) -> None:
    project.database.parent.mkdir()
    make(project.database)
    before = project.database.read_bytes() if project.database.is_file() else b""
    with pytest.raises(SyncError) as caught:
        project.load(defs, "things")
    assert caught.value.code == code
    assert caught.value.facts()["database"] == str(project.database)
    assert str(caught.value).startswith("things: ")
    assert says in str(caught.value)
    assert len(str(caught.value)) < 600
    assert not project.database.is_file() or project.database.read_bytes() == before
    with pytest.raises(SyncError), read_warehouse():
        pass


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("size", [0, 100, 4096, 8192])
def test_a_part_of_the_headers_is_made_again(project: Project, defs: str, size: int) -> None:
    """A full disk or a kill leaves such a file. DuckDB does not open it."""
    project.database.parent.mkdir()
    content = a_database(project.database)
    project.database.write_bytes(content[:size])
    assert project.load(defs, "things").row_count == len(ROWS)


def test_a_folder_in_which_nobody_may_write(
    project: Project, defs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", "/sys/analytics.duckdb")
    with pytest.raises(UnreachableWarehouseError) as caught:
        project.load(defs, "things")
    assert "nothing can be written beside it" in caught.value.problem
    assert "who may write there" in str(caught.value)


def test_a_file_that_only_another_user_may_write() -> None:
    """The superuser may write each file, and so the test opens one in a folder of the kernel."""
    with pytest.raises(duckdb.Error) as caught:
        duckdb.connect("/sys/analytics.duckdb")
    explained = explain_duckdb(caught.value, "things", Path("/sys/analytics.duckdb"))
    assert isinstance(explained, UnreachableWarehouseError)
    assert explained.problem == "Permission denied"


@contextmanager
def held_by_another(database: Path) -> Iterator[subprocess.Popen[str]]:
    """Another program has the DuckDB file open, until it gets a line."""
    code = f"import duckdb; c = duckdb.connect({str(database)!r}); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        yield other
        other.communicate("\n")


def test_a_file_that_another_process_holds_for_too_long(project: Project, defs: str) -> None:
    hasty = yaml.safe_load(defs)
    hasty["attributes"]["destination"] = {"lock_timeout": 0}
    project.load(defs, "things")
    with held_by_another(project.database) as other, pytest.raises(WarehouseBusyError) as caught:
        project.load(yaml.safe_dump(hasty), "things")
    assert caught.value.holder.endswith(f", process {other.pid}")
    assert project.load(defs, "things").row_count == len(ROWS)


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("way", ["sync", "read", "write"])
def test_syncs_and_readers_wait_for_another_program(
    project: Project, defs: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    project.load(defs, "things")
    monkeypatch.setattr(locks, "NOTICE_AFTER", 0.0)
    with held_by_another(project.database) as other, ThreadPoolExecutor(1) as threads:

        def use() -> None:
            if way == "sync":
                project.load(defs, "things")
                return
            with read_warehouse() if way == "read" else write_warehouse() as connection:
                connection.execute("SELECT count(*) FROM api.things")

        waiting = threads.submit(use)
        give_up = time.monotonic() + 60
        while f"process {other.pid}" not in caplog.text and time.monotonic() < give_up:
            time.sleep(0.05)
        assert not waiting.done()
        assert other.stdin is not None
        other.stdin.write("\n")
        other.stdin.flush()
        waiting.result(60)
    assert f"waiting for {Path(sys.executable).resolve().name}, process {other.pid}, which has" in caplog.text


def test_a_writer_keeps_syncs_waiting_and_makes_the_file(project: Project, defs: str) -> None:
    with write_warehouse() as connection:
        connection.execute("CREATE TABLE mine AS SELECT 7 AS n")
    with ThreadPoolExecutor(1) as threads:
        with write_warehouse() as connection:
            loading = threads.submit(project.load, defs, "things")
            time.sleep(1)
            assert not loading.done()
            connection.execute("INSERT INTO mine VALUES (8)")
        assert loading.result(60).row_count == len(ROWS)
    with read_warehouse() as connection:
        assert connection.execute("SELECT sum(n) FROM mine").fetchone() == (15,)


def test_one_thread_reads_while_it_writes_and_cannot_write_while_it_reads(
    project: Project, defs: str
) -> None:
    with write_warehouse() as connection:
        connection.execute("CREATE TABLE mine AS SELECT 7 AS n")
        with read_warehouse() as reader:
            assert reader.execute("SELECT n FROM mine").fetchone() == (7,)
        assert project.load(defs, "things").row_count == len(ROWS)
    with read_warehouse() as reader:
        for write in (lambda: write_warehouse().__enter__(), lambda: project.load(defs, "things")):
            with pytest.raises(
                UnreachableWarehouseError, match=r"has it open in another way.* Close that connection"
            ):
                write()
        assert reader.execute("SELECT n FROM mine").fetchone() == (7,)
    assert project.load(defs, "things").row_count == len(ROWS)


@pytest.mark.parametrize("shell", [True, False])
def test_a_program_that_opens_the_file_itself_takes_the_lock(
    project: Project, defs: str, *, shell: bool
) -> None:
    """As docs/guides/beside_other_programs.md says for dbt and for DuckDB's command line."""
    project.load(defs, "things")
    opened = f"import duckdb, time; c = duckdb.connect({str(project.database)!r})"
    code = f"{opened}; print('open', flush=True); time.sleep(2)"
    command = [sys.executable, "-c", code]
    if shell:
        command = ["flock", f"{project.database}.locks/warehouse", *command]
    with ThreadPoolExecutor(1) as threads, ExitStack() as block:
        if not shell:
            assert block.enter_context(lock_warehouse()) == project.database
        other = block.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        hasty = yaml.safe_load(defs)
        hasty["attributes"]["destination"] = {"lock_timeout": 0}
        loading = threads.submit(project.load, yaml.safe_dump(hasty), "things")
        other.wait(60)
        block.close()
        assert loading.result(60).row_count == len(ROWS)


def test_a_warehouse_that_breaks_in_a_load_keeps_its_rows(project: Project, defs: str) -> None:
    project.load(defs, "things")
    with no_file_above(300_000), pytest.raises(DiskFullError):
        project.load(defs, "things")
    assert project.query("SELECT count(*) AS rows FROM api.things") == [{"rows": len(ROWS)}]
    assert project.load(defs, "things").row_count == len(ROWS)


def test_damage_is_explained_to_a_reader(project: Project, defs: str) -> None:
    project.load(defs, "things")
    project.database.write_bytes(project.database.read_bytes()[:100_000])
    with pytest.raises(DamagedWarehouseError), read_warehouse():
        pass
