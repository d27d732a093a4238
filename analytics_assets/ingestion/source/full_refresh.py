"""One run of an incremental resource that fetches everything anew, and leaves the table as the API has it.

dlt's own `refresh` drops tables before it loads, so that a run that dies leaves none. Here the cursor is forgotten in
the working directory of the run alone, and reaches the destination with the rows: until then both are as they were.
What is merged brings all there is, and the rows that it did not bring leave afterwards (`reconcile.py`), under the
same lock; what has no key to be merged on replaces the table in one transaction, or a kill would leave rows twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlt.pipeline.pipeline import Pipeline

from analytics_assets.config.rest_api import disposition_of


def can_replace_all(disposition: Any) -> bool:
    """Whether a load by this write disposition of dlt's can stand for all rows.

    Other merge strategies than `delete-insert` keep rows as they are, or did not change, with the id of an older load.
    """
    if isinstance(disposition, Mapping):
        return disposition.get("strategy") in (None, "delete-insert") and can_replace_all(
            disposition.get("disposition")
        )
    return disposition in ("append", "merge", "replace")


def replace_all(resource: dict[str, Any]) -> str:
    """Makes a resource of a REST API config load all rows in place of those in the table.

    Returns:
        The write disposition of this run.
    """
    has_key = resource.get("primary_key") or resource.get("merge_key")
    if has_key and disposition_of(resource.get("write_disposition")) == "merge":
        return "merge"
    resource["write_disposition"] = "replace"
    return "replace"


def start_over(pipeline: Pipeline) -> None:
    """Has a pipeline, restored from its destination, forget how far it came.

    It is the pipeline of one resource, and of those it takes values from: all of its state goes.
    """
    with pipeline.managed_state() as state:
        state.pop("sources", None)
