"""The options of a sync as run tags, such as `analytics_assets/dry_run: true`.

A tag has an effect on each asset of the run. Dagster drops the run config of a misspelled op, but it never drops a tag.
What belongs here: the names of the tags, and their refusals. `run_config.py` defines the options.
"""

from collections.abc import Collection, Mapping
from typing import Any

import dagster as dg

from analytics_assets.config.validation_errors import suggestion
from analytics_assets.orchestration.runs import CIRCUIT_KEY, OPTION_PREFIX

_ALMOST = 0.9
"""How similar a tag must be to one of ours, from 0 to 1, so that it counts as misspelled."""


def options_from_tags(
    resource: str,
    tags: Mapping[str, str],
    configured: Mapping[str, Any],
    known: Collection[str],
    own: Collection[str],
) -> dict[str, Any]:
    """Reads the options of a run from its tags.

    Args:
        resource: the dlt resource name, for error texts.
        tags: the tags of the run.
        configured: the options that the run config sets.
        known: the names of the options of any resource.
        own: the names of the options of this resource.

    Returns:
        The values as text, or as a boolean for `true` and `false`.

    Raises:
        dg.Failure: a tag is misspelled, or is no option of this resource, or contradicts the run config.
    """
    names = {f"{OPTION_PREFIX}{one}": one for one in known}
    options: dict[str, Any] = {}
    for tag, text in sorted(tags.items()):
        if tag in names:
            options[names[tag]] = {"true": True, "false": False}.get(text.strip().lower(), text.strip())
        elif tag != CIRCUIT_KEY and (tag.startswith(OPTION_PREFIX) or suggestion(tag, names, _ALMOST)):
            close = suggestion(tag.partition("/")[2], known).replace("`", f"`{OPTION_PREFIX}", 1)
            instead = close or f" The tags are {_listed(names)}."
            raise _refused(resource, "unknown_tag", f"the tag `{tag}` of this run is no option.{instead}")
    for name, value in options.items():
        tag = f"{OPTION_PREFIX}{name}"
        if name not in own:
            raise _refused(
                resource,
                "option_does_not_apply",
                f"the tag `{tag}` of this run is no option of this resource, which has {_listed(own)}. Launch it in "
                "another run, without the tag.",
            )
        if name in configured and str(configured[name]) != str(value):
            raise _refused(
                resource,
                "contradicting_options",
                f"the tag `{tag}` of this run says {value}, and its config says {configured[name]}. Remove "
                "one of them.",
            )
    return options


def _refused(resource: str, code: str, problem: str) -> dg.Failure:
    return dg.Failure(
        f"{resource}: {problem} Nothing was requested.", metadata={"code": code}, allow_retries=False
    )


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"`{one}`" for one in sorted(names))
