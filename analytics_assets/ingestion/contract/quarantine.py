"""Rows that break the contract: kept beside the table they are missing from, until they are good.

What belongs here: the quarantine table, what is written to it, and how many are too many. When a row leaves it is
`reconcile.py`. It is loaded in the same load package as the good rows: either both arrive or neither.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import dlt
from dlt.common.schema import Schema
from dlt.extract.source import DltSource

from analytics_assets.ingestion.contract.columns import Contract
from analytics_assets.ingestion.contract.rejected import Rejected
from analytics_assets.ingestion.errors import ContractExceededError
from analytics_assets.ingestion.time_window import Cursor, Window, whole_window

SUFFIX = "__quarantine"
KEY_PREFIX = "key__"
"""Of the columns that hold the primary key of a row in quarantine, as far as it fits."""

_EXAMPLES = 3
_LONGEST_EXAMPLE = 20


@dataclass(frozen=True)
class Limit:
    """How many rows may break the contract before it is not the rows that are wrong.

    Attributes:
        count: at most so many; None for no such limit.
        share: at most this part of the rows of a run, from 0 to 1; None for no such limit.
    """

    count: int | None = None
    share: float | None = None

    def is_exceeded(self, rejected: int, rows: int) -> bool:
        """Whether `rejected` of `rows` are too many."""
        if self.count is not None and rejected > self.count:
            return True
        return self.share is not None and rejected > self.share * rows

    def __str__(self) -> str:
        return f"{self.count:,}" if self.share is None else f"{self.share * 100:g}%"


class Quarantine:
    """What a sync rejects, and the table that keeps it.

    Args:
        resource: dlt resource name.
        table: of the good rows.
        contract: the declared columns.
        cursor: of the resource, if any.
        disposition: dlt's write disposition, or `history` where earlier versions of a row stay.
        windows: of the partitions of this run, by partition key in order of time.
        limit: how many are too many.

    Attributes:
        full_refresh: whether all there is is read anew, so that nothing older stays.
        halts: whether too many halt the sync; they are counted only in a dry run.
        rows_seen: rows held against the contract.
        window: all windows of this run as one; None without any.
    """

    def __init__(
        self,
        resource: str,
        table: str,
        contract: Contract,
        cursor: Cursor | None,
        disposition: str,
        windows: Mapping[str, Window],
        limit: Limit,
    ) -> None:
        self.resource = resource
        self.good_table = table
        self.contract = contract
        self.cursor = cursor
        self.disposition = disposition
        self.windows = windows
        self.window = whole_window(windows)
        self._starts: list[Any] = [cursor.bound(one.start) for one in windows.values()] if cursor else []
        self.limit = limit
        self.full_refresh = False
        self.halts = True
        self.keys = contract.typed_key
        self._rejected: list[tuple[Rejected, str | None, Window | None]] = []
        self.rows_seen = 0

    @property
    def table(self) -> str:
        """Its table in the warehouse."""
        return self.good_table + SUFFIX

    @property
    def replaces_window(self) -> bool:
        """Whether a run leaves in its windows what it has read, and nothing else."""
        return bool(self.windows) and self.disposition == "merge"

    @property
    def count(self) -> int:
        """Rows rejected."""
        return len(self._rejected)

    def add(self, rejected: Sequence[Rejected], rows: int) -> None:
        """Takes what was rejected among `rows` rows. Rows of another window are left to their own partition's run.

        Raises:
            ContractExceededError: there are more than the limit allows, whatever is still to come.
        """
        self.rows_seen += rows
        for one in rejected:
            value = one.values.get(self.cursor.column) if self.cursor else None
            if not self.windows:
                self._rejected.append((one, None, None))
            elif self.cursor and value is not None:
                home = self._home(self.cursor, self.cursor.as_time(value))
                self._rejected += [(one, *home)] if home else []
            else:
                keys = list(self.windows)
                partition = keys[0] if len(keys) == 1 else f"{keys[0]}...{keys[-1]}"
                self._rejected.append((one, partition, self.window))
        if self.limit.count is not None:
            self._judge()

    @property
    def too_many(self) -> bool:
        """Whether more rows are rejected than the limit allows."""
        return self.limit.is_exceeded(self.count, self.rows_seen)

    def reasons(self) -> list[str]:
        """Why rows are rejected, the most frequent first: column, reason, rows, a value's shape, primary keys."""
        violations = Counter((column, why) for one, *_ in self._rejected for column, why, _ in one.violations)
        return [self._example(column, why, count) for (column, why), count in violations.most_common()]

    def source(self, schema: str) -> DltSource:
        """The dlt source of the quarantine table, to be extracted after the good rows.

        Args:
            schema: name of the schema of the good rows, whose load package it joins.
        """
        hints: dict[str, Any] = {
            "reason": {"data_type": "text", "nullable": False},
            "column_name": {"data_type": "text"},
            "value": {"data_type": "text"},
            "row": {"data_type": "text", "nullable": False},
            "partition": {"data_type": "text"},
            "window_start": {"data_type": "timestamp"},
            "window_end": {"data_type": "timestamp"},
            "rejected_at": {"data_type": "timestamp", "nullable": False},
        }
        for column in self.keys:
            kept = {
                name: column.hints[name]
                for name in ("data_type", "precision", "scale")
                if name in column.hints
            }
            hints[KEY_PREFIX + column.name] = kept
        # Of a generator as such dlt looks for the module, through all that are imported: 35 ms.
        rows = chain(self._rows())
        resource = dlt.resource(
            rows, name=self.table, write_disposition="append", columns=hints, max_table_nesting=0
        )
        return DltSource(Schema(schema), schema, [resource])

    def _rows(self) -> Iterator[list[dict[str, Any]]]:
        self._judge()
        now = datetime.now(UTC)
        if self._rejected:
            yield [
                {
                    "reason": one.reason,
                    "column_name": one.violations[0][0],
                    "value": _as_text(one.violations[0][2]),
                    "row": one.row,
                    "partition": partition,
                    "window_start": window.start if window else None,
                    "window_end": window.end if window else None,
                    "rejected_at": now,
                    **{KEY_PREFIX + column.name: one.values.get(column.name) for column in self.keys},
                }
                for one, partition, window in self._rejected
            ]

    def _home(self, cursor: Cursor, value: Any) -> tuple[str, Window] | None:
        """The partition of this run that a value of the cursor falls into; None where it is of another run."""
        index = bisect_right(self._starts, value) - 1
        home = list(self.windows.items())[max(index, 0)]
        return home if cursor.is_in(home[1], value) else None

    def _judge(self) -> None:
        if not (self.halts and self.too_many):
            return
        reasons = tuple(self.reasons()[:_EXAMPLES])
        raise ContractExceededError(self.resource, self.count, self.rows_seen, str(self.limit), reasons)

    def _example(self, column: str | None, why: str, count: int) -> str:
        alike = [
            (one, value)
            for one, *_ in self._rejected
            for c, w, value in one.violations
            if (c, w) == (column, why)
        ]
        keys = [
            ", ".join(str(one.values[key.name]) for key in self.keys)
            for one, _ in alike[:_EXAMPLES]
            if self.keys and all(one.values.get(key.name) is not None for key in self.keys)
        ]
        value = alike[0][1]
        is_key = column in self.contract.primary_key
        shown = "" if value is None else f", such as `{_shortened(value) if is_key else _masked(value)}`"
        where = f", primary key {'; '.join(keys)}" if keys else ""
        return f"{column or ''} {why} ({count:,} {'row' if count == 1 else 'rows'}{shown}{where})".strip()


def _as_text(value: Any) -> str | None:
    """A value to be looked at: text as it is, but for what no warehouse can store."""
    return None if value is None else str(value).encode(errors="backslashreplace").decode()


def _shortened(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_EXAMPLE else text[:_LONGEST_EXAMPLE] + "…"


def _masked(value: Any) -> str:
    """The shape of a value, without what it says: it may be a customer's."""
    return re.sub(r"[^\W\d_]", "x", re.sub(r"\d", "9", _shortened(value)))
