"""The Python form: what dlt accepts as an object is honoured, or refused with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

import pytest
import requests
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from analytics_assets import RestApiSync
from analytics_assets.ingestion.errors import SyncError
from analytics_assets.ingestion.http.circuit_breaker import policy_of
from analytics_assets.ingestion.plan.load_plan import plan_load
from analytics_assets.ingestion.sync import run_sync
from analytics_assets_tests.answering import answering
from analytics_assets_tests.conftest import Project
from analytics_assets_tests.memory_circuit import MemoryCircuit


class Thing(BaseModel):
    id: int
    name: str | None = None
    at: datetime | None = None
    where: dict[str, Any] | None = None


class Forbidding(Thing):
    model_config = ConfigDict(extra="forbid")


class Allowing(Thing):
    model_config = ConfigDict(extra="allow")


class Aliased(BaseModel):
    id: int
    full_name: str | None = Field(None, alias="name")


def sync_of(url: str, **resource: Any) -> RestApiSync:
    endpoint = {"path": "things", "paginator": "single_page", "data_selector": "data"}
    one = {
        "name": "things",
        "primary_key": "id",
        "write_disposition": "replace",
        "endpoint": endpoint,
        **resource,
    }
    return RestApiSync(name="api", rest_api={"client": {"base_url": url}, "resources": [one]})


def load(sync: RestApiSync) -> None:
    run_sync(plan_load(sync, sync.resources["things"]), MemoryCircuit(policy_of(sync), "api"))


ROWS = [
    {"id": 1, "name": "a", "at": "2026-01-01T00:00:00Z", "where": {"city": "x"}, "secret": "s"},
    {"id": 2, "name": None},
]
OURS = {"_dlt_id", "_dlt_load_id"}


@pytest.mark.matrix(keep=3)
@pytest.mark.parametrize(
    ("model", "more", "columns"),
    [
        (Thing, {}, {"id", "name", "at", "where"}),
        (Allowing, {}, {"id", "name", "at", "where", "secret"}),
        (Aliased, {}, {"id", "name"}),
        (Thing, {"schema_contract": "evolve"}, {"id", "name", "at", "where", "secret"}),
        (Thing, {"schema_contract": {"tables": "evolve"}}, {"id", "name", "at", "where"}),
        (Forbidding, {"schema_contract": {"columns": "discard_value"}}, {"id", "name", "at", "where"}),
    ],
)
def test_a_model_says_which_fields_are_loaded(
    project: Project, model: type[BaseModel], more: dict[str, Any], columns: set[str]
) -> None:
    with answering(lambda _: {"data": ROWS}) as url:
        load(sync_of(url, columns=model, **more))
    rows = project.query("SELECT * FROM api.things ORDER BY id")
    assert set(rows[0]) - OURS == columns
    assert [row["name"] for row in rows] == ["a", None]


@pytest.mark.usefixtures("project")
def test_a_model_that_forbids_extra_fields_fails_the_sync() -> None:
    with answering(lambda _: {"data": ROWS}) as url, pytest.raises(SyncError) as caught:
        load(sync_of(url, columns=Forbidding))
    assert (caught.value.code, caught.value.facts()["field"]) == ("undeclared_field", "secret")


def test_a_value_that_does_not_fit_the_model_goes_to_quarantine(project: Project) -> None:
    rows = [{"id": 1, "at": "2026-01-01T00:00:00Z"}, {"id": 2, "at": "soon"}, {"id": 3}]
    with answering(lambda _: {"data": rows}) as url:
        load(sync_of(url, columns=Thing))
    assert project.query("SELECT id FROM api.things ORDER BY id") == [{"id": 1}, {"id": 3}]
    assert len(project.query("SELECT * FROM api.things__quarantine")) == 1


class Constrained(BaseModel):
    id: Annotated[int, Field(gt=0)]


class Validated(BaseModel):
    id: int

    @field_validator("id")
    @classmethod
    def _positive(cls, value: int) -> int:
        return value


class Defaulted(BaseModel):
    id: int
    kind: str = "a"


class Chosen(BaseModel):
    id: int
    kind: Literal["a", "b"] | None = None


def _of_row(row: Any) -> str:
    return str(row["kind"])


@pytest.mark.parametrize(
    ("resource", "key", "sentence"),
    [
        ({"columns": Constrained}, "columns", "the model `Constrained` has a constraint on `id`"),
        ({"columns": Validated}, "columns", "the model `Validated` has the validator `_positive`"),
        ({"columns": Defaulted}, "columns", "the model `Defaulted` has a default for `kind`"),
        ({"columns": Chosen}, "columns", "the model `Chosen` lists the values of `kind`"),
        ({"columns": lambda _: {}}, "columns", "`columns` is a function"),
        ({"table_name": _of_row}, "table_name", "`table_name` is a function of the row"),
        ({"primary_key": _of_row}, "primary_key", "`primary_key` is a function"),
        ({"write_disposition": _of_row}, "write_disposition", "`write_disposition` is a function"),
    ],
)
def test_what_cannot_be_honoured_is_refused(resource: dict[str, Any], key: str, sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        sync_of("http://x", **resource)
    [error] = caught.value.errors()
    assert error["loc"] == ("rest_api", "resources", 0, key)
    assert sentence in error["msg"]


@pytest.mark.parametrize("session", [requests.Session, requests.session])
def test_a_session_is_refused(session: Callable[[], requests.Session]) -> None:
    client = {"base_url": "http://x", "session": session()}
    with pytest.raises(ValidationError, match="Remove `session`") as caught:
        RestApiSync(name="api", rest_api={"client": client, "resources": ["a"]})
    assert caught.value.errors()[0]["loc"] == ("rest_api", "client", "session")
