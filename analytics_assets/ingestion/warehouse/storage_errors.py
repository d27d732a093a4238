"""Explains why a file cannot be written or opened: the disk is full, or the DuckDB file is damaged or is no file.

What belongs here: the error texts of DuckDB and of the operating system, and what a stub of a DuckDB file is.
"""

from __future__ import annotations

import errno
import logging
import re
from pathlib import Path

import duckdb
from dlt.common.destination.exceptions import DestinationException

from analytics_assets.ingestion.errors import (
    DamagedWarehouseError,
    DiskFullError,
    DuckDbVersionError,
    SyncError,
    UnreachableWarehouseError,
    WarehouseBusyError,
    causes,
)

log = logging.getLogger("analytics_assets")

STORAGE_ERRORS = (DestinationException, duckdb.Error, OSError)
"""The errors that a destination may raise."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL_TEXT = re.compile(r"No space left on device|Disk quota exceeded|File too large")
_FILE = re.compile(r'file "([^"]+)"')
_HOLDER = re.compile(r"Conflicting lock is held in (\S+) \(PID (\d+)\)")
_VERSION = re.compile(r"created with an? (newer|older)[\w ]* version of DuckDB")
_DAMAGED = re.compile(
    r"not a valid DuckDB database file|Corrupt database file|Could not read enough bytes|WAL does not match|"
    r"replaying WAL|Failed to load metadata|Serialization Error",
    re.IGNORECASE,
)
_CANNOT_OPEN = re.compile(
    r'(?:Cannot open|Could not (?:read from|write|fsync|create)) (?:file|directory) "[^"]+": (.+)'
)
_OTHER_MODE = "different configuration than existing connections"
_LINES = re.compile(r"\s+")
_MOST_TEXT = 200  # the most characters of DuckDB's own text in an error

_HEADERS = 12_288
"""The size of an empty DuckDB file. A smaller file has no table."""

_MAGIC_AT, _MAGIC = 8, b"DUCK"


def disk_full(error: BaseException, resource: str, place: str) -> DiskFullError | None:
    """Returns an error if one of the causes of `error` is a full disk or a full quota.

    Args:
        error: the error of dlt, DuckDB or the operating system.
        resource: the dlt resource that the sync loads.
        place: the path that is probably full, if the error names none.
    """
    for cause in causes(error):
        found = _FULL_TEXT.search(str(cause))
        is_full = isinstance(cause, OSError) and cause.errno in _FULL
        if is_full or (found and isinstance(cause, (OSError, duckdb.Error))):
            named = _FILE.search(str(cause))
            place = named[1] if named else str(getattr(cause, "filename", None) or place)
            problem = found[0] if found else str(getattr(cause, "strerror", ""))
            return DiskFullError(resource, place, problem)
    return None


def is_open_for_writing(error: BaseException) -> bool:
    """Whether a file does not open for reading because this process has it open for writing."""
    return isinstance(error, duckdb.Error) and _OTHER_MODE in str(error)


def explain_duckdb(error: BaseException, resource: str, database: Path | None) -> SyncError | None:
    """Explains an error of a DuckDB file; None for an unknown error.

    Args:
        error: the error of dlt, DuckDB or the operating system.
        resource: the dlt resource that the sync loads; empty for a reader.
        database: the path of the DuckDB file; None for a database in memory.
    """
    full = disk_full(error, resource, str(database or "the database in memory"))
    if full or database is None:
        return full
    for cause in causes(error):
        text = str(cause) if isinstance(cause, duckdb.Error) else ""
        if "Could not set lock on file" in text:
            holder = _HOLDER.search(text)
            program = f"{Path(holder[1]).name}, process {holder[2]}" if holder else ""
            return WarehouseBusyError(resource, str(database), holder=program)
        if made := _VERSION.search(text):
            return DuckDbVersionError(resource, str(database), made[1], duckdb.__version__)
        if _DAMAGED.search(text):
            return DamagedWarehouseError(resource, str(database), _shortened(text, database))
        refused = _CANNOT_OPEN.search(text)
        if refused or _OTHER_MODE in text:
            return _unreachable(resource, database, refused[1] if refused else _OTHER_MODE)
    return None


def _unreachable(resource: str, database: Path, problem: str) -> UnreachableWarehouseError:
    if problem == _OTHER_MODE:
        problem = "this process has it open in another way, such as for reading only. DuckDB allows one way at a time"
        way_out = "Close that connection first, or use `write_warehouse` for it"
        return UnreachableWarehouseError(resource, str(database), problem, way_out=way_out)
    if database.is_dir():
        way_out = f"Name a file, such as DESTINATION__DUCKDB__CREDENTIALS={database / 'analytics.duckdb'}"
        return UnreachableWarehouseError(resource, str(database), "it is a directory", way_out=way_out)
    if database.is_symlink() and "No such file" in problem:
        target = database.readlink()
        way_out = f"Make the folder of {target}, or remove the link"
        problem = f"it is a link to {target}, which does not exist"
        return UnreachableWarehouseError(resource, str(database), problem, way_out=way_out)
    return UnreachableWarehouseError(resource, str(database), _LINES.sub(" ", problem)[:_MOST_TEXT])


def remove_stub(database: Path) -> None:
    """Removes a DuckDB file that is only a part of its headers, because a disk was full or a process was killed.

    DuckDB does not open such a file, so every later run would fail. A file of another program stays. The caller has
    exclusive use of the warehouse.

    Args:
        database: the path of the DuckDB file.
    """
    if not database.is_file() or database.stat().st_size >= _HEADERS:
        return
    content = database.read_bytes()
    if not content.strip(b"\0") or content[_MAGIC_AT:].startswith(_MAGIC):
        database.unlink()
        log.warning("%s: removed %s bytes of a DuckDB file that was never complete.", database, len(content))


def _shortened(text: str, database: Path) -> str:
    """Returns the first line of DuckDB's text, without the path."""
    line = text.partition("\n")[0].replace(f' "{database}"', "")
    return (line.partition("Error: ")[2] or line)[:_MOST_TEXT].rstrip("!.")
