"""DuckDB SQL that reads the files of a load package."""

from __future__ import annotations

from collections.abc import Sequence

from dlt.common.data_writers.escape import escape_duckdb_literal, escape_postgres_identifier


def quoted(name: str) -> str:
    """Returns the name of a column in quotation marks. DuckDB quotes as PostgreSQL does."""
    return str(escape_postgres_identifier(name))


def rows_of(files: Sequence[str]) -> str:
    """Returns the DuckDB table expression for all rows of some Parquet files."""
    return f"read_parquet([{', '.join(map(escape_duckdb_literal, files))}], union_by_name=true)"
