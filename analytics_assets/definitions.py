"""The Dagster code location, which loads every `defs/**/defs.yaml`."""

from pathlib import Path

import dagster as dg

from analytics_assets.config.yaml_keys import refuse_unquoted_templates


@dg.definitions
def defs() -> dg.Definitions:
    """Returns all definitions. All steps of a run share one process, because a process per step costs seconds."""
    loaded = load(Path(__file__).parent)
    return dg.Definitions.merge(loaded, dg.Definitions(executor=dg.in_process_executor))


def load(folder: Path) -> dg.Definitions:
    """Loads every `defs.yaml` of the project that a folder belongs to.

    Raises:
        UnquotedTemplateError: a file has a template without quotes.
    """
    refuse_unquoted_templates(folder)
    return dg.load_from_defs_folder(path_within_project=folder)
