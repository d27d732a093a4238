"""The quarantine: a table for the rows that break the contract, beside the table of the good rows.

This module defines the quarantine table, its rows, and the limit on the number of bad rows. `reconcile.py` deletes rows
from the quarantine. dlt loads the good rows and the quarantine in one load package.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import dlt
import pyarrow as pa
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.libs.pyarrow import dlt_column_to_arrow_field
from dlt.extract.source import DltSource

from analytics_assets.ingestion.contract.columns import Contract
from analytics_assets.ingestion.contract.normalizer import new_schema
from analytics_assets.ingestion.contract.rejected import HOLDS_SECRET, Rejected
from analytics_assets.ingestion.contract.spool import Spool
from analytics_assets.ingestion.errors import ContractExceededError, counted, shown
from analytics_assets.ingestion.time_window import Cursor, Window, whole_window

SUFFIX = "__quarantine"
KEY_PREFIX = "key__"
"""The prefix of the columns with the primary key of a row in quarantine."""

_EXAMPLES = 3
_LONGEST_EXAMPLE = 20
_LONGEST_KEY = 100
_LONGEST_REASON = 500
_MOST_REASONS = 1000
_OTHER = "other reasons"


@dataclass(frozen=True)
class Limit:
    """A limit on the number of rejected or removed rows.

    Attributes:
        count: the largest number of rows; None for no limit by number.
        share: the largest share of the rows, from 0 to 1; None for no limit by share.
    """

    count: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, written: int | str) -> Limit:
        """Parses the value of `max_quarantined` or `max_removed`: a number of rows, or a share such as `5%`."""
        if isinstance(written, int):
            return cls(count=written)
        return cls(share=float(written.rstrip(" %")) / 100)

    def is_exceeded(self, affected: int, rows: int) -> bool:
        """Whether `affected` rows out of `rows` exceed the limit."""
        if self.count is not None and affected > self.count:
            return True
        return self.share is not None and affected > self.share * rows

    def __str__(self) -> str:
        return f"{self.count:,}" if self.share is None else f"{self.share * 100:g}%"


@dataclass
class _Reason:
    """The rows rejected for one reason: the first wrong value, the keys of the first rows, and their number."""

    value: str
    keys: list[str]
    count: int = 0


class Quarantine:
    """The rejected rows of one sync, which are on disk until the load, and the table that stores these rows.

    Args:
        resource: the dlt resource name.
        table: the name of the table of the good rows.
        contract: the declared columns.
        cursor: the cursor of the resource; None for a resource without a cursor.
        windows: the windows of the run's partitions, by partition key in order of time.
        limit: the limit on rejected rows.
        halts: whether the sync fails if there are more rejected rows than the limit; false in a dry run.
        redact: a function that replaces the secrets in a text, for reasons. A row itself is stored as it came.

    Attributes:
        rows_seen: the number of rows that were checked.
        count: the number of rejected rows.
    """

    def __init__(  # noqa: PLR0913  each parameter is a part of the plan
        self,
        resource: str,
        table: str,
        contract: Contract,
        cursor: Cursor | None,
        windows: Mapping[str, Window],
        limit: Limit,
        *,
        halts: bool = True,
        redact: Callable[[str], str] = str,
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
        self._redact = redact
        self.count = 0
        self._rejected = Spool()
        self._without_time: set[int] = set()  # hashes of rows that each of several ranges may bring
        self._reasons: dict[tuple[str, str], _Reason] = {}

    def add(self, rejected: Sequence[Rejected], rows: int, page_range: Window | None = None) -> None:
        """Adds the rejected rows of a page.

        Ignores rejected rows outside the time windows of this run's partitions, or outside the range of the page.

        Args:
            rejected: the rejected rows.
            rows: the number of all rows of the page.
            page_range: the range of time that the request for the page asked for; None for all partitions.

        Raises:
            ContractExceededError: the limit is a number of rows, and there are already more rejected rows.
        """
        self.rows_seen += rows
        found: list[dict[str, Any]] = []
        for one in rejected:
            value = one.values.get(self._cursor.column) if self._cursor else None
            home: tuple[str | None, Window | None] | None = (None, None)
            if self._windows and self._cursor and value is not None:
                moment = self._cursor.as_time(value)
                is_here = page_range is None or self._cursor.is_in(page_range, moment)
                home = self._home(self._cursor, moment) if is_here else None
            elif self._windows:
                if page_range is not None and not self._is_first(one):
                    continue
                keys = list(self._windows)
                partition = keys[0] if len(keys) == 1 else f"{keys[0]}...{keys[-1]}"
                home = (partition, whole_window(self._windows))
            if home:
                found.append(self._row(one, *home))
                self._count_reasons(one)
        self._rejected.add(found)
        self.count += len(found)
        if self.limit.count is not None:
            self._judge()

    def _is_first(self, row: Rejected) -> bool:
        before = len(self._without_time)
        self._without_time.add(hash(row.row))
        return len(self._without_time) > before

    @property
    def too_many(self) -> bool:
        """Whether the number of rejected rows exceeds the limit."""
        return self.limit.is_exceeded(self.count, self.rows_seen)

    def reasons(self) -> list[str]:
        """Describes the reasons for rejections, the most frequent first, each with row count and example keys."""
        by_frequency = sorted(self._reasons.items(), key=lambda item: -item[1].count)
        return [
            f"{column} {why} ({counted(one.count, 'row')}{one.value}{_primary_keys(one.keys)})".strip()
            for (column, why), one in by_frequency
        ]

    def keys_table(self, capabilities: DestinationCapabilitiesContext) -> pa.Table:
        """Returns the primary keys of the rejected rows as columns of the quarantine table; NULL for an unknown key.

        Args:
            capabilities: dlt's capabilities of the destination, which decide the types of the columns.
        """
        columns: dict[str, list[Any]] = {KEY_PREFIX + key.name: [] for key in self.keys}
        for batch in self._rejected.batches():
            for name, values in columns.items():
                values += [row[name] for row in batch]
        types = [dlt_column_to_arrow_field(key.hints, capabilities, "UTC").type for key in self.keys]
        # PostgreSQL compares no text with a number, so a column of NULLs needs its type, too.
        arrays = [pa.array(values, kind) for values, kind in zip(columns.values(), types, strict=True)]
        return pa.table(dict(zip(columns, arrays, strict=True)))

    def source(self, schema: str) -> DltSource:
        """Returns the dlt source of the quarantine table, which dlt extracts after the good rows.

        Args:
            schema: the schema name of the good rows, so that dlt writes good rows and quarantine into one load package.
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
        # If `rows` is a generator, dlt searches all imported modules (35 ms). For a `chain`, dlt does not search.
        rows = chain(self._rows())
        resource = dlt.resource(
            rows, name=self.table, write_disposition="append", columns=hints, max_table_nesting=0
        )
        return DltSource(new_schema(schema), schema, [resource])

    def _rows(self) -> Iterator[list[dict[str, Any]]]:
        self._judge()
        now = datetime.now(UTC)
        for batch in self._rejected.batches():
            yield [{**row, "rejected_at": now} for row in batch]

    def _row(self, one: Rejected, partition: str | None, window: Window | None) -> dict[str, Any]:
        """Returns a row of the quarantine table, without its time."""
        return {
            "reason": shown(self._redact(one.reason), _LONGEST_REASON),
            "column_name": one.violations[0][0],
            "value": _as_text(one.violations[0][2]),
            "row": one.row,
            "partition": partition,
            "window_start": window.start if window else None,
            "window_end": window.end if window else None,
            **{KEY_PREFIX + column.name: one.values.get(column.name) for column in self.keys},
        }

    def _count_reasons(self, row: Rejected) -> None:
        for column, why, value in row.violations:
            reason = (shown(column or ""), shown(self._redact(why), _LONGEST_REASON))
            if reason not in self._reasons and len(self._reasons) >= _MOST_REASONS:
                reason = ("", _OTHER)
            if reason not in self._reasons:
                shorten = _shortened if column in self._contract.primary_key else _masked
                text = "" if value is None or reason[1] == _OTHER else self._redact(_text_of(value))
                self._reasons[reason] = _Reason(f", such as `{shorten(text)}`" if text else "", [])
            one = self._reasons[reason]
            if one.count < _EXAMPLES and self.keys:
                key = [row.values.get(column.name) for column in self.keys]
                parts = [shown(self._redact(str(part)), _LONGEST_KEY) for part in key]
                one.keys += [", ".join(parts)] if None not in key else []
            one.count += 1

    def _home(self, cursor: Cursor, value: Any) -> tuple[str, Window] | None:
        """Returns the partition of this run that contains a cursor value; None if no partition contains the value."""
        index = bisect_right(self._starts, value) - 1
        home = list(self._windows.items())[max(index, 0)]
        return home if cursor.is_in(home[1], value) else None

    def _judge(self) -> None:
        if not (self._halts and self.too_many):
            return
        reasons = tuple(self.reasons()[:_EXAMPLES])
        held = shown(self._redact(HOLDS_SECRET))
        secret = dict.fromkeys(column for column, why in self._reasons if why == held)
        raise ContractExceededError(
            self._resource, self.count, self.rows_seen, str(self.limit), reasons, tuple(secret)
        )


def _primary_keys(keys: Sequence[str]) -> str:
    return f", primary key {'; '.join(keys)}" if keys else ""


def _as_text(value: Any) -> str | None:
    return None if value is None else _text_of(value)


def _text_of(value: Any) -> str:
    """Converts a value to text, with escapes in place of characters that no warehouse and no log can store."""
    try:
        return str(value).encode(errors="backslashreplace").decode().replace("\0", "\\x00")
    except RecursionError:
        return "(too many nested lists and objects)"


def _shortened(text: str) -> str:
    return shown(text) if len(text) <= _LONGEST_EXAMPLE else shown(text[:_LONGEST_EXAMPLE]) + "…"


def _masked(text: str) -> str:
    """Masks a text: letters become `x` and digits become `9`, because the value may be personal data."""
    return re.sub(r"[^\W\d_]", "x", re.sub(r"\d", "9", _shortened(text)))
