"""Arrow reads a page of JSON with the same result as the rules, or rejects the page. No input ends the process."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dlt.common.schema.typing import TColumnSchema
from dlt.destinations import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from analytics_assets.ingestion.contract.columns import Column, Contract
from analytics_assets.ingestion.contract.validator import ValidationResult, Validator
from analytics_assets_tests.examples import examples
from analytics_assets_tests.unit.contract.test_coercion import FITS, HUGE, JSON, UNFIT

CAPABILITIES = duckdb("unused.duckdb").capabilities()
COLUMNS: dict[str, TColumnSchema] = {
    "id": {"data_type": "bigint", "nullable": False, "primary_key": True},
    "small": {"data_type": "bigint", "precision": 32},
    "ratio": {"data_type": "double"},
    "is_new": {"data_type": "bool"},
    "amount": {"data_type": "decimal", "precision": 18, "scale": 2},
    "name": {"data_type": "text"},
    "at": {"data_type": "timestamp"},
    "day": {"data_type": "date"},
    "address__city": {"data_type": "text"},
}
WHOLE = {
    "id": 1, "small": 2, "ratio": 0.5, "is_new": True, "amount": "19.99", "name": "ü", "at": "2026-01-05T00:00:00Z",
    "day": "2026-01-05", "address": {"city": "Bern"},
}  # fmt: skip
WHERE = {"bigint": "id", "bigint(32)": "small", "double": "ratio", "bool": "is_new", "decimal(18, 2)": "amount",
         "text": "name", "timestamp": "at", "date": "day"}  # fmt: skip


def validator() -> Validator:
    columns = tuple(
        Column(
            name=name,
            data_type=hints["data_type"],
            nullable=hints.get("nullable") is not False,
            primary_key=bool(hints.get("primary_key")),
            unique=False,
            description=None,
            hints={**hints, "name": name},
        )
        for name, hints in COLUMNS.items()
    )
    return Validator("things", Contract(columns), CAPABILITIES)


def outcome(result: ValidationResult) -> tuple[Any, list[str]]:
    rows = result.items if isinstance(result.items, list) else result.items.to_pylist()
    return repr(rows), [one.reason for one in result.rejected]


def same(rows: list[Any]) -> None:
    raws = [Raw(json.dumps(row).encode()) for row in rows]
    reader = validator()
    reader.validate([WHOLE])
    reader._learn([WHOLE])
    read, expected = reader.read(raws), validator().validate([json.loads(bytes(raw)) for raw in raws])
    assert outcome(read) == outcome(expected)


@pytest.mark.parametrize("row", [
    WHOLE, {}, {"id": 1}, {**WHOLE, "address": None}, {**WHOLE, "address": {}}, {**WHOLE, "address": "Bern"},
    {**WHOLE, "more": 1}, {**WHOLE, "more": None}, None, 5, "text", [], [1], [{}], True,
])  # fmt: skip
def test_rows_of_any_shape(row: Any) -> None:
    for rows in ([row], [WHOLE, row], [row, WHOLE], [row, row]):
        same(rows)


@pytest.mark.parametrize(
    ("kind", "value"), [(k, v) for k, v, _ in [*FITS, *UNFIT] if k in WHERE and v != HUGE]
)
def test_values_of_any_kind(kind: str, value: Any) -> None:
    same([WHOLE, {**WHOLE, WHERE[kind]: value}])


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(st.one_of(
    st.just(WHOLE),
    st.builds(lambda name, value: {**WHOLE, name: value}, st.sampled_from([*WHERE.values(), "address"]), JSON),
    JSON,
), min_size=1, max_size=5))  # fmt: skip
def test_whatever_comes(rows: list[Any]) -> None:
    same(rows)


def test_clean_rows_are_read_at_once_and_layout_does_not_matter() -> None:
    reader = validator()
    raws = [Raw(json.dumps({**WHOLE, "id": number}, indent=number % 2).encode()) for number in range(4)]
    assert outcome(reader.read(raws)) == outcome(
        validator().validate([{**WHOLE, "id": number} for number in range(4)])
    )
    raws = [Raw(json.dumps({**WHOLE, "id": number}).encode()) for number in range(4)]
    columns = reader._json_reader.read(raws)
    assert columns is not None
    assert columns["id"].to_pylist() == [0, 1, 2, 3]
    assert columns["address__city"].to_pylist() == ["Bern"] * 4
