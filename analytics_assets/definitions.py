"""The Dagster code location, which loads every `defs/**/defs.yaml`."""

import gc
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from analytics_assets.config.yaml_keys import refuse_unquoted_templates
from analytics_assets.orchestration.dagster_internals import run_of_this_process, without_folders
from analytics_assets.orchestration.run_files import unneeded_folders

_log = logging.getLogger(__name__)


@dg.definitions
def defs() -> dg.Definitions:
    """Returns all definitions. All steps of a run share one process, because a process per step costs seconds."""
    loaded = load(Path(__file__).parent)
    return dg.Definitions.merge(loaded, dg.Definitions(executor=dg.in_process_executor))


def load(folder: Path) -> dg.Definitions:
    """Loads every `defs.yaml` of the project that a folder belongs to.

    The process of a run loads only the files of the APIs that the run syncs. So the run costs the same beside many
    APIs, and a mistake in the file of another API does not stop it.

    Raises:
        UnquotedTemplateError: a file has a template without quotes.
    """
    files = sorted(folder.resolve().rglob("defs.yaml"))
    run = run_of_this_process()
    unneeded = unneeded_folders(files, run) if run else frozenset()
    if unneeded:
        try:
            return _loaded(folder, files, unneeded)
        except Exception:  # noqa: BLE001  code of the project may need any file, and what is wrong otherwise fails again
            _log.info("Loading all files, because the files of this run alone do not load.", exc_info=True)
    return _loaded(folder, files)


def _loaded(folder: Path, files: Sequence[Path], unneeded: Collection[Path] = ()) -> dg.Definitions:
    refuse_unquoted_templates(one for one in files if one.parent not in unneeded)
    with without_folders(unneeded), _collector_paused():
        return dg.load_from_defs_folder(path_within_project=folder)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pauses the garbage collector of Python, which looks at all definitions again and again while they are made."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
