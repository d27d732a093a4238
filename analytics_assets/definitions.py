"""The Dagster code location, which loads every `defs/**/defs.yaml`."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Returns all definitions. All steps of a run share one process, because a process per step costs seconds."""
    loaded = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    return dg.Definitions.merge(loaded, dg.Definitions(executor=dg.in_process_executor))
