"""Finds undeclared values that dlt's normalizer cannot store, and undeclared fields that would become one column.

A row with such a value or field goes to quarantine.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from analytics_assets.ingestion.contract.coercion_rules import is_unicode
from analytics_assets.ingestion.contract.columns import field_name
from analytics_assets.ingestion.json_kind import kind_of
from analytics_assets.ingestion.raw_json import JsonNumber, TooDeep

_VARIANT = re.compile(r"__v_[a-z]+$")
_MAX_DEPTH = 100
"""The most levels of nesting. dlt fails at about 250 levels."""
_TOO_DEEP = f"more than {_MAX_DEPTH} nested lists and objects"

_Path = tuple[str, ...]


@dataclass
class _Table:
    """The fields of one table: of the rows, or of the objects in a list.

    Attributes:
        place: the path of the list, for error texts; empty for the table of the rows.
        columns: the path of the field of each column, by warehouse name.
        lists: the path of the field of each child table, by warehouse name.
    """

    place: str = ""
    columns: dict[str, _Path] = field(default_factory=dict)
    lists: dict[str, _Path] = field(default_factory=dict)


@dataclass
class _Field:
    """A field as the API sends it.

    Attributes:
        table: the table of the field.
        name: the warehouse name, which includes the names of the objects around the field.
        path: the field names that lead to the field within one record of the table.
        problem: why no row may have the field; empty if a row may have it.
        fields: the fields of the object, by the names that the API sends.
        items: the fields of the objects in the list; None before the first object.
    """

    table: _Table
    name: str = ""
    path: _Path = ()
    problem: str = ""
    fields: dict[str, _Field] = field(default_factory=dict)
    items: _Field | None = None

    def enter(self, key: str) -> _Field:
        """Returns the field `key` of this object."""
        inner = self.fields.get(key)
        if inner is None:
            alone, problem = field_name("", key), ""
            if not is_unicode(key):
                problem = "a field whose name is not valid Unicode"
            elif not alone:
                problem = "a field without a name: give it one (rename)" if key else "a field without a name"
            elif alone.startswith("_dlt_"):
                problem = f"a field `{key}`, a name that dlt reserves: give it another name (rename)"
            elif _VARIANT.search(alone):
                problem = f"a field `{key}`, a name that dlt gives to variant columns: give it another name (rename)"
            inner = _Field(self.table, field_name(self.name, key), (*self.path, key), problem)
            self.fields[key] = inner
        return inner

    def enter_list(self) -> _Field:
        """Returns the objects in this list, as if they were one object."""
        if self.items is None:
            self.items = _Field(_Table(self.written + "."))
        return self.items

    @property
    def written(self) -> str:
        """The path of the field, as a `defs.yaml` has it."""
        return self.table.place + ".".join(self.path)


class UndeclaredFields:
    """The undeclared fields that the rows of one sync had so far.

    Args:
        stores_nul: whether the destination stores the character NUL in a text.
    """

    def __init__(self, *, stores_nul: bool = True) -> None:
        self._rows = _Field(_Table())
        self._stores_nul = stores_nul

    def problem_of(self, row: Mapping[str, Any]) -> str:
        """Describes the first problem of a row; empty if dlt can store each value in a column of its own.

        Args:
            row: the row without its typed columns.
        """
        for key, value in row.items():
            if isinstance(value, list) and field_name("", key) == "quarantine":
                return (
                    f"a list `{key}`, the name of the table of rejected rows: give it another name (rename)"
                )
        found = _in_object(row, self._rows, row, 0)
        if not found and not self._stores_nul and _has_nul(row):
            return "an undeclared text with the character NUL, which the warehouse cannot store"
        return found


def _in_object(value: Mapping[str, Any], place: _Field, record: Mapping[str, Any], depth: int) -> str:
    if depth > _MAX_DEPTH:
        return _TOO_DEEP
    for key, one in value.items():
        inner = place.fields.get(key) or place.enter(key)
        found = inner.problem or _in_value(one, inner, record, depth + 1)
        if found:
            return found
    return ""


def _in_value(value: Any, place: _Field, record: Mapping[str, Any], depth: int) -> str:
    if value is None:
        return ""
    if isinstance(value, TooDeep):
        return _TOO_DEEP
    if isinstance(value, dict):
        return _in_object(value, place, record, depth)
    if not isinstance(value, list):
        return _meets(value, place, place.table.columns, record, "column") or _in_scalar(value)
    if not value:
        return ""
    return _meets(value, place, place.table.lists, record, "table") or _in_list(value, place, depth)


def _in_list(value: list[Any], place: _Field, depth: int) -> str:
    if depth > _MAX_DEPTH:
        return _TOO_DEEP
    for one in value:
        if isinstance(one, dict):
            found = _in_object(one, place.enter_list(), one, depth + 1)
        elif isinstance(one, list):
            found = _in_list(one, place.enter_list(), depth + 1)
        else:
            found = _in_scalar(one)
        if found:
            return found
    return ""


def _meets(value: Any, place: _Field, owners: dict[str, _Path], record: Mapping[str, Any], what: str) -> str:
    """Describes another field for the same column or child table, unless the row has the same value in both."""
    owner = owners.setdefault(place.name, place.path)
    if owner is place.path or owner == place.path or _at(record, owner) == value:
        return ""
    other = place.table.place + ".".join(owner)
    return (
        f"the field `{place.written}`, which is one {what} with the field `{other}`, `{place.name}`: give it another "
        "name (rename)"
    )


def _at(record: Any, path: _Path) -> Any:
    for key in path:
        record = record.get(key) if isinstance(record, dict) else None
    return record


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_nul, value.values()))
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value


def _in_scalar(value: Any) -> str:
    if isinstance(value, str):
        return "" if is_unicode(value) else "text that is not valid Unicode"
    if isinstance(value, TooDeep):
        return _TOO_DEEP
    if isinstance(value, float) and not math.isfinite(value):
        return f"an undeclared field that is {kind_of(value)}"
    if isinstance(value, JsonNumber) and not value.is_of_a_float:
        return "an undeclared number that a double would round: declare its field, as decimal or double"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "an undeclared number of more than 64 bits"
    return ""
