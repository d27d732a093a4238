"""Rules about `columns`, `primary_key` and `merge_key` of a resource, and about Python objects in their place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

from dlt.common.schema.typing import TColumnSchema

from analytics_assets.config.pydantic_columns import model_of, unfit_rule
from analytics_assets.config.validation_errors import Location, error_at, named, suggestion
from analytics_assets.config.value_types import refuse_wrong_type

_COLUMN_KEYS = frozenset(get_type_hints(TColumnSchema))
_NO_FUNCTIONS = (
    "name", "table_name", "write_disposition", "columns", "primary_key", "merge_key", "schema_contract",
    "table_format", "file_format", "parent_table_name", "references", "nested_hints",
)  # fmt: skip
"""The keys of a resource that dlt may compute for each row by a function."""


def refuse_unusable_columns(
    rest_api: Mapping[str, Any], resource: Mapping[str, Any], place: Location
) -> None:
    """Fails at the first mistake in the columns and keys of a resource, or of `resource_defaults`.

    Args:
        rest_api: the REST API config.
        resource: the resource as written.
        place: the keys that lead to the resource in `rest_api`.

    Raises:
        ValidationError: a column or a key is wrong.
    """
    _check_python_objects(resource, place)
    columns = resource.get("columns")
    if isinstance(columns, (dict, list, str, int, float)):  # dlt reads other Python objects
        _check_columns(rest_api, columns, (*place, "columns"))
    for key in ("primary_key", "merge_key"):
        _check_key(rest_api, resource.get(key), (*place, key))


def _check_python_objects(resource: Mapping[str, Any], place: Location) -> None:
    """Finds functions and pydantic models that dlt accepts, and that a sync cannot honour."""
    for key in _NO_FUNCTIONS:
        value = resource.get(key)
        if callable(value) and model_of(value) is None:
            raise error_at(
                (*place, key),
                f"`{key}` is a function of the row, and a table is planned before its rows are read. Write the value. "
                "For several tables, add one resource for each.",
            )
    model = model_of(resource.get("columns"))
    rule = unfit_rule(model) if model else None
    if model and rule:
        raise error_at(
            (*place, "columns"),
            f"the model `{model.__name__}` {rule}, and `columns` takes only fields, types and `extra` of a model. "
            "Remove this from the model, and check or change rows in `processing_steps`.",
        )


def _check_columns(rest_api: Mapping[str, Any], columns: Any, place: Location) -> None:
    refuse_wrong_type(columns, dict[str, TColumnSchema] | Sequence[TColumnSchema], place, rest_api)
    by_place = columns.items() if isinstance(columns, dict) else enumerate(columns)
    for step, column in by_place:
        here = (*place, step)
        name = step if isinstance(columns, dict) else column.get("name")
        if not name:
            raise error_at(here, named(rest_api, here, "the column has no `name`. Add one."))
        _check_column_name(rest_api, str(name), here)
        for key in column:
            if key not in _COLUMN_KEYS and not str(key).startswith("x-"):
                sentence = f"unknown key `{key}`.{suggestion(str(key), _COLUMN_KEYS)}"
                raise error_at((*here, key), named(rest_api, here, sentence))
        for key in ("precision", "scale"):
            if (column.get(key) or 0) < 0:
                sentence = f"`{key}` of `{name}` is {column[key]}. Write a whole number from 0 on."
                raise error_at((*here, key), named(rest_api, here, sentence))


def _check_key(rest_api: Mapping[str, Any], written: Any, place: Location) -> None:
    # An empty text is no key, in place of the key of `resource_defaults`.
    names = (
        [written] if isinstance(written, str) and written else written if isinstance(written, list) else []
    )
    for name in names:
        _check_column_name(rest_api, str(name), place)
        problem = (
            "" if name.strip() else f"a column of `{place[-1]}` has no name. Write it, or remove the key."
        )
        if names.count(name) > 1:
            problem = f"`{place[-1]}` has `{name}` twice. Remove one."
        if problem:
            raise error_at(place, named(rest_api, place, problem))


def _check_column_name(rest_api: Mapping[str, Any], name: str, place: Location) -> None:
    if re.search(r"[.\[\]$*/]", name):
        path = re.sub(r"[^\w]+", "__", name.removeprefix("$.")).strip("_")
        sentence = (
            f"`{name}` is not the name of a column. Use its name in the warehouse, where two underscores join nested "
            f"fields: `{path}`."
        )
        raise error_at(place, named(rest_api, place, sentence))
