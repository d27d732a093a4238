"""The rows of a page for a paginator that may read them. A row that is JSON text is parsed when it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Raw

from analytics_assets.ingestion.row_of_parent import parsed


class ReadableRows(list[Any]):
    """A list of rows, some of which are JSON text. Whoever reads a row gets it parsed, and no other row is parsed.

    The list has the rows for C code as they are. A change to a row that was read changes nothing in the list.
    """

    def __iter__(self) -> Iterator[Any]:
        return map(parsed, super().__iter__())

    def __reversed__(self) -> Iterator[Any]:
        return map(parsed, super().__reversed__())

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return [*map(parsed, found)] if isinstance(place, slice) else parsed(found)

    def __contains__(self, row: object) -> bool:
        return any(one == row for one in self)

    def pop(self, place: Any = -1) -> Any:
        """Removes a row, and returns it parsed."""
        return parsed(super().pop(place))


def _of_parsed(name: str) -> Callable[..., Any]:
    def method(self: ReadableRows, *arguments: Any) -> Any:
        return getattr([*self], name)(*arguments)

    return method


for _name in ("__add__", "__eq__", "__ne__", "__repr__", "__reduce_ex__", "copy", "count", "index"):
    setattr(ReadableRows, _name, _of_parsed(_name))


def readable(rows: Any) -> Any:
    """Returns rows that can be read; the rows themselves if none of them is JSON text."""
    return ReadableRows(rows) if isinstance(rows, list) and Raw in map(type, rows) else rows


def with_readable_rows(response: Any, path: tuple[str, ...]) -> Any:
    """Returns a parsed response whose rows can be read.

    Args:
        response: the parsed response, which stays as it is.
        path: the names of the fields that lead to the rows.
    """
    if not path:
        return readable(response)
    if not isinstance(response, dict) or path[0] not in response:
        return response
    return {**response, path[0]: with_readable_rows(response[path[0]], path[1:])}
