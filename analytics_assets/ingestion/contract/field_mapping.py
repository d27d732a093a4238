"""Maps the fields of rows to the declared columns, and finds undeclared fields.

The column `address__city` gets the field `city` of the object `address`. `validator.py` checks the values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from analytics_assets.ingestion.contract.columns import field_name

Row = dict[str, Any]
FieldPath = tuple[str, ...]
"""The names of nested fields, as the API sends them: `("address", "city")`."""


@dataclass(frozen=True)
class Fields:
    """The values of some rows, grouped by declared column and by undeclared field.

    Attributes:
        sources: the path and the values of each field that fills a declared column, one value per row, by column name.
        columns: the values of each declared column, one value per row, by column name.
        undeclared: pairs of the name and the values of an undeclared field; several pairs may have the same name.
        conflicts: row position, column, reason and value, for rows in which another field fills a column than the field
            that filled the column first.
    """

    sources: dict[str, list[tuple[FieldPath, Sequence[Any]]]] = field(default_factory=dict)
    columns: dict[str, Sequence[Any]] = field(default_factory=dict)
    undeclared: list[tuple[str, Sequence[Any]]] = field(default_factory=list)
    conflicts: list[tuple[int, str, str, Any]] = field(default_factory=list)


class FieldMapping:
    """Finds the values of the declared columns in rows.

    Args:
        typed: the names of the columns with a declared type.
        untyped: the names of the columns without a declared type.

    Attributes:
        typed: the names of the columns with a declared type.
        untyped: the names of the columns without a declared type.
    """

    def __init__(self, typed: Collection[str], untyped: Collection[str]) -> None:
        self.typed = frozenset(typed)
        self.untyped = frozenset(untyped)
        self._declared = self.typed | self.untyped
        split = [name.split("__") for name in self._declared]
        self._objects = frozenset("__".join(one[:depth]) for one in split for depth in range(1, len(one)))
        self._known = self._declared | self._objects
        self._owners: dict[str, FieldPath] = {}

    def collect(self, rows: Sequence[Row]) -> Fields:
        """Returns the fields of `rows`, column by column."""
        fields = Fields()
        self._collect(rows, "", (), fields)
        for name, sources in fields.sources.items():
            fields.columns[name] = self._merge(name, sources, fields.conflicts)
        return fields

    def owns(self, name: str, path: FieldPath) -> bool:
        """Whether the field at `path` fills a column, or no field has filled the column yet, and `path` does now."""
        return self._owners.setdefault(name, path) == path

    def leaves(
        self, row: Row, prefix: str = "", path: FieldPath = ()
    ) -> Iterator[tuple[str, FieldPath, Any]]:
        """Yields the name, the path and the value of each field of a row.

        If an object contains fields of declared columns, yields the fields of the object in place of the object.
        """
        for key, value in row.items():
            name = field_name(prefix, key)
            if name in self._objects and isinstance(value, dict):
                yield from self.leaves(value, name, (*path, key))
            else:
                yield name, (*path, key), value

    def untyped_part(self, row: Row, *, with_undeclared: bool, prefix: str = "") -> Row:
        """Returns a row without the fields that fill typed columns.

        Args:
            row: a whole row, or an object inside a row.
            with_undeclared: whether the returned row keeps its undeclared fields.
            prefix: the warehouse name of the object inside a row; empty for a whole row.
        """
        part: Row = {}
        for key, value in row.items():
            name = field_name(prefix, key)
            if name in self.typed:
                continue
            if name in self._objects and isinstance(value, dict):
                inner = self.untyped_part(value, with_undeclared=with_undeclared, prefix=name)
                if inner:
                    part[key] = inner
            elif name in self.untyped or with_undeclared:
                part[key] = value
        return part

    def _merge(
        self,
        name: str,
        sources: Sequence[tuple[FieldPath, Sequence[Any]]],
        conflicts: list[tuple[int, str, str, Any]],
    ) -> Sequence[Any]:
        """Returns the values of a column, which one field fills.

        Two fields can have one warehouse name, such as `orderId` and `order_id`. A row may have the same value in both.
        Any other value of the second field is a conflict, because dlt would silently mix the fields.
        """
        owner = self._owners.get(name)
        if owner is None:
            filled = (path for path, values in sources if any(value is not None for value in values))
            owner = next(filled, None)
            if owner is None:
                return sources[0][1]
            self._owners[name] = owner
        if len(sources) == 1 and sources[0][0] == owner:
            return sources[0][1]
        own = dict(sources).get(owner)
        merged = list(own) if own is not None else [None] * len(sources[0][1])
        for path, values in sources:
            if path == owner:
                continue
            reason = (
                f"comes in two fields with different values, `{'.'.join(owner)}` and `{'.'.join(path)}`: give one of "
                "them another name (rename)"
            )
            conflicts += [
                (position, name, reason, value)
                for position, value in enumerate(values)
                if value is not None and value != merged[position]
            ]
        return merged

    def _collect(self, rows: Sequence[Row], prefix: str, path: FieldPath, into: Fields) -> None:
        shapes = Counter(map(tuple, rows))
        keys = dict.fromkeys(chain.from_iterable(shapes))
        if len(shapes) == 1:  # all rows have the same fields in the same order: one `zip` makes the columns
            values_of = dict(zip(keys, zip(*map(dict.values, rows), strict=True), strict=True))
        else:
            known = [key for key in keys if field_name(prefix, key) in self._known]
            values_of = {key: tuple([row.get(key) for row in rows]) for key in known}
        for key, values in values_of.items():
            name = field_name(prefix, key)
            if name in self._declared:
                into.sources.setdefault(name, []).append(((*path, key), values))
            elif name in self._objects:
                objects = [value if isinstance(value, dict) else {} for value in values]
                self._collect(objects, name, (*path, key), into)
                into.undeclared.append((name, [value for value in values if not isinstance(value, dict)]))
            else:
                into.undeclared.append((name or key, values))
        unknown = keys.keys() - values_of.keys()
        found: dict[str, list[Any]] = {}
        for row in rows if unknown else ():
            for key in row.keys() & unknown:
                found.setdefault(key, []).append(row[key])
        into.undeclared.extend((field_name(prefix, key) or key, values) for key, values in found.items())
