"""Arrow reads a page of JSON with the same result as the rules, or rejects the page. No input ends the process."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from dlt.common.schema.typing import TColumnSchema
from dlt.destinations import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from analytics_assets.ingestion.contract.columns import Column, Contract
from analytics_assets.ingestion.contract.validator import ValidationResult, Validator
from analytics_assets.ingestion.raw_json import read_row
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
    "precise": {"data_type": "timestamp", "precision": 9},
    "coarse": {"data_type": "timestamp", "precision": 3},
    "day": {"data_type": "date"},
    "address__city": {"data_type": "text"},
}
WHOLE = {
    "id": 1, "small": 2, "ratio": 0.5, "is_new": True, "amount": "19.99", "name": "ü",
    "precise": "2026-01-05T00:00:00Z", "coarse": "2026-01-05T00:00:00Z", "at": "2026-01-05T00:00:00Z",
    "day": "2026-01-05", "address": {"city": "Bern"},
}  # fmt: skip
WHERE = {"bigint": "id", "bigint(32)": "small", "double": "ratio", "bool": "is_new", "decimal(18, 2)": "amount",
         "text": "name", "timestamp": "at", "timestamp(9)": "precise", "timestamp(3)": "coarse",
         "date": "day"}  # fmt: skip


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
    rows = result.items
    if not isinstance(rows, list):
        exact = [f.with_type(pa.int64()) if f.type == pa.timestamp("ns", "UTC") else f for f in rows.schema]
        rows = rows.cast(pa.schema(exact)).to_pylist()
    return repr(rows).replace("-0.0", "0.0"), [one.reason for one in result.rejected]


def same(rows: list[Any]) -> None:
    same_texts([json.dumps(row) for row in rows])


def same_texts(rows: list[str]) -> None:
    raws = [Raw(row.encode()) for row in rows]
    reader = validator()
    reader.validate([WHOLE])
    reader._learn([WHOLE])
    read, expected = reader.read(raws), validator().validate([read_row(raw) for raw in raws])
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


DIGITS = st.from_regex(r"-?(0|[1-9][0-9]{0,22})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
NEAR_NUMBERS = st.from_regex(r"[+-]?[0-9]{0,20}\.?[0-9]{0,3}([eE][+-]?[0-9]{0,2})?", fullmatch=True)
TIMES = st.from_regex(
    r"20[0-9][0-9]-?[01][0-9]-?[0-3][0-9]"
    r"([Tt _+-]?[0-2][0-9](:?[0-6][0-9](:?[0-6][0-9]([.,][0-9]{1,10})?)?)?( ?([Zz]|[+-][0-9][0-9](:?[0-9][0-9])?))?)?",
    fullmatch=True,
)


@settings(max_examples=examples(300), deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*WHERE.values(), "more"]),
            st.one_of(DIGITS, st.one_of(NEAR_NUMBERS, TIMES).map(json.dumps)),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_digits_and_times_of_any_form(fields: list[tuple[str, str]]) -> None:
    whole = json.dumps(WHOLE)
    same_texts([whole, *(json.dumps({**WHOLE, name: "?"}).replace('"?"', text) for name, text in fields)])


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
