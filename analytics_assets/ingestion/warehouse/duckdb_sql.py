"""DuckDB's SQL over the files of a load package."""

from __future__ import annotations

from collections.abc import Sequence

from dlt.common.data_writers.escape import escape_duckdb_literal


def rows_of(files: Sequence[str]) -> str:
    """All rows of some Parquet files, as DuckDB's SQL names a table."""
    return f"read_parquet([{', '.join(map(escape_duckdb_literal, files))}], union_by_name=true)"
