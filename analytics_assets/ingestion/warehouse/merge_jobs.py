"""What the destinations DuckDB and PostgreSQL share: a merge with an observer, Parquet files, and added columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from dlt.common.destination.client import HasFollowupJobs, RunnableLoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema.typing import TColumnSchema
from dlt.common.storages.load_package import LoadJobInfo, ParsedLoadJobFileName
from dlt.destinations.job_client_impl import SqlJobClientBase, SqlLoadJob


class MergeObserver(Protocol):
    """What a merge needs from the code that reconciles the table.

    Attributes:
        keys_are_distinct: whether each primary key occurs only once in the files of the merge.
    """

    @property
    def keys_are_distinct(self) -> bool:
        """Whether each primary key occurs only once in the files of the merge."""

    def during(self, client: SqlJobClientBase) -> None:
        """Runs within the transaction of the merge, after its SQL statements."""


@runtime_checkable
class ReadsFiles(Protocol):
    """A client of a destination that can read Parquet files within its SQL."""

    def rows_of(self, files: Sequence[Path | str], columns: Sequence[str] | None = None) -> str:
        """Returns the SQL table expression for all rows of some Parquet files.

        Args:
            files: the paths of the Parquet files.
            columns: the columns that the SQL needs; None for all.
        """


class LeftToMerge(RunnableLoadJob, HasFollowupJobs):
    """A load job that copies no rows, because the merge later reads the Parquet file of the job.

    The class derives from dlt's `RunnableLoadJob`, because dlt waits a second for the end of a job of any other class.
    """

    def run(self) -> None:
        """Copies no rows, because the merge reads the Parquet file."""


class MergeJob(SqlLoadJob):
    """dlt's merge job, which also calls the observer within its transaction.

    Args:
        file_path: the path of the file with the merge SQL.
        observer: the observer to call.
    """

    def __init__(self, file_path: str, observer: MergeObserver) -> None:
        super().__init__(file_path)
        self._observer = observer

    @contextmanager
    def maybe_transaction(self, sql: str) -> Iterator[None]:
        """Opens dlt's transaction, and calls the observer before the transaction ends."""
        with super().maybe_transaction(sql):
            yield
            client = self._job_client
            table_dataset, _ = client.create_dataset_names(client.schema, client.config)  # type: ignore[attr-defined]
            # dlt may run the merge job in the staging dataset.
            with client.sql_client.with_alternative_dataset_name(table_dataset):
                self._observer.during(client)
                self.tidy_up()

    def tidy_up(self) -> None:
        """Runs within the transaction, after the observer."""


class AddsNullableColumns(SqlJobClientBase):
    """A client that adds columns to a table that has rows. These rows have NULL in each new column."""

    def _make_add_column_sql(
        self, new_columns: Sequence[TColumnSchema], table: PreparedTableSchema | None = None
    ) -> list[str]:
        """Returns the SQL that adds columns to a table."""
        nullable = [cast(TColumnSchema, {**one, "nullable": True}) for one in new_columns]
        return list(super()._make_add_column_sql(nullable, cast(PreparedTableSchema, table)))


def without_deduplication(table: PreparedTableSchema) -> PreparedTableSchema:
    """Returns a table whose keys are distinct, so that dlt skips the longest statement of a merge."""
    return {**table, "x-stage-data-deduplicated": True}  # type: ignore[typeddict-unknown-key]


def is_parquet(file_path: str) -> bool:
    """Whether a file of a load package is a Parquet file."""
    return ParsedLoadJobFileName.parse(file_path).file_format == "parquet"


def parquet_files(jobs: Sequence[LoadJobInfo]) -> dict[str, list[str]]:
    """Returns the paths of the Parquet files of some load jobs, by table name."""
    files: dict[str, list[str]] = {}
    for job in jobs:
        if is_parquet(job.file_path):
            files.setdefault(job.job_file_info.table_name, []).append(job.file_path)
    return files
