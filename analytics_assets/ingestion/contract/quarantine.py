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
import pyarrow as pa
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
    """How many rows may be affected before something else must be wrong.

    Attributes:
        count: at most so many; None for no such limit.
        share: at most this part of the rows, from 0 to 1; None for no such limit.
    """

    count: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, written: int | str) -> Limit:
        """A limit as `max_quarantined` and `max_removed` have it: a number of rows, or a share such as `5%`."""
        if isinstance(written, int):
            return cls(count=written)
        return cls(share=float(written.rstrip(" %")) / 100)

    def is_exceeded(self, affected: int, rows: int) -> bool:
        """Whether `affected` of `rows` are too many."""
        if self.count is not None and affected > self.count:
            return True
        return self.share is not None and affected > self.share * rows

    def __str__(self) -> str:
        return f"{self.count:,}" if self.share is None else f"{self.share * 100:g}%"


class Quarantine:
    """What one sync rejects, and the table that keeps it.

    Args:
        resource: dlt resource name.
        table: of the good rows.
        contract: the declared columns.
        cursor: of the resource, if any.
        windows: the partitions of this run, by partition key in order of time.
        limit: how many rows may break the contract.
        halts: whether more of them halt the sync; in a dry run they are only counted.

    Attributes:
        rows_seen: rows held against the contract.
    """

    def __init__(
        self,
        resource: str,
        table: str,
        contract: Contract,
        cursor: Cursor | None,
        windows: Mapping[str, Window],
        limit: Limit,
        *,
        halts: bool = True,
    ) -> None:
        self.table = table + SUFFIX
        self.keys = contract.typed_key
        self.limit = limit
        self.rows_seen = 0
        self._resource = resource
        self._contract = contract
        self._cursor = cursor
        self._windows = dict(windows)
        self._starts: list[Any] = [cursor.bound(one.start) for one in windows.values()] if cursor else []
        self._halts = halts
        self._rejected: list[tuple[Rejected, str | None, Window | None]] = []

    @property
    def count(self) -> int:
        """Rows rejected."""
        return len(self._rejected)

    def add(self, rejected: Sequence[Rejected], rows: int) -> None:
        """Takes what was rejected among `rows` rows. Rows of another window are left to the run of their partition.

        Raises:
            ContractExceededError: there are more than the limit allows, whatever is still to come.
        """
        self.rows_seen += rows
        for one in rejected:
            value = one.values.get(self._cursor.column) if self._cursor else None
            if not self._windows:
                self._rejected.append((one, None, None))
            elif self._cursor and value is not None:
                home = self._home(self._cursor, self._cursor.as_time(value))
                self._rejected += [(one, *home)] if home else []
            else:
                keys = list(self._windows)
                partition = keys[0] if len(keys) == 1 else f"{keys[0]}...{keys[-1]}"
                self._rejected.append((one, partition, whole_window(self._windows)))
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

    def keys_table(self) -> pa.Table:
        """The primary keys of the rows in this quarantine, as the columns of its table; empty where none is known."""
        columns = {
            KEY_PREFIX + key.name: [one.values.get(key.name) for one, *_ in self._rejected]
            for key in self.keys
        }
        return pa.table(columns)

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
        home = list(self._windows.items())[max(index, 0)]
        return home if cursor.is_in(home[1], value) else None

    def _judge(self) -> None:
        if not (self._halts and self.too_many):
            return
        reasons = tuple(self.reasons()[:_EXAMPLES])
        raise ContractExceededError(self._resource, self.count, self.rows_seen, str(self.limit), reasons)

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
        is_key = column in self._contract.primary_key
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
