"""A failure within dlt's error."""

from __future__ import annotations

import pytest
import requests

from analytics_assets.config.models import RequestsConfig
from analytics_assets.ingestion.errors import Fault, SyncHalted
from analytics_assets.ingestion.http.dlt_errors import find_sync_error


@pytest.mark.parametrize(
    ("settings", "fault"), [({}, Fault.CONFIG), ({"retry_statuses": [425]}, Fault.TRANSIENT)]
)
def test_a_status_that_an_auth_class_got_is_whose_fault_the_settings_say(
    settings: dict[str, object], fault: Fault
) -> None:
    response = requests.Response()
    response.status_code = 425
    response.request = requests.Request("POST", "http://127.0.0.1/token").prepare()
    error = RuntimeError("dlt wraps it")
    error.__cause__ = requests.HTTPError(response=response)
    found = find_sync_error(error, "orders", RequestsConfig.model_validate(settings))
    assert isinstance(found, SyncHalted)
    assert (found.status, found.endpoint, found.fault) == (425, "POST /token", fault)
