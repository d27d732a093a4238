"""The options of a sync as run tags, such as `analytics_assets/dry_run: true`.

A tag has an effect on each asset of the run. Dagster drops the run config of a misspelled op, but it never drops a tag.
What belongs here: the names of the tags, and their refusals. `run_config.py` defines the options.
"""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from analytics_assets.config.validation_errors import suggestion
from analytics_assets.ingestion.errors import (
    ContradictingOptionsError,
    OptionDoesNotApplyError,
    UnknownTagError,
)
from analytics_assets.orchestration.runs import CIRCUIT_KEY, NO_RETRY_KEY, OPTION_PREFIX, REFUSED_KEY

OWN_TAGS = (CIRCUIT_KEY, NO_RETRY_KEY, REFUSED_KEY)
"""The tags that this project sets itself, and that are no options."""

_ALMOST = 0.9
"""How similar a tag must be to one of ours, from 0 to 1, so that it counts as misspelled."""

_FLAGS = {"true": True, "false": False}


def options_from_tags(
    resource: str,
    tags: Mapping[str, str],
    configured: Mapping[str, Any],
    known: Collection[str],
    own: Collection[str],
    flags: Collection[str],
) -> dict[str, Any]:
    """Reads the options of a run from its tags.

    Args:
        resource: the dlt resource name, for error texts.
        tags: the tags of the run.
        configured: the options that the run config sets.
        known: the names of the options of any resource.
        own: the names of the options of this resource.
        flags: the names of those of them that are true or false.

    Returns:
        The values as text, or as a boolean for `true` and `false` of a flag.

    Raises:
        UnknownTagError: a tag is misspelled.
        OptionDoesNotApplyError: a tag is no option of this resource.
        ContradictingOptionsError: a tag contradicts the run config.
    """
    names = {f"{OPTION_PREFIX}{one}": one for one in known}
    options: dict[str, Any] = {}
    for tag, text in sorted(tags.items()):
        if tag in names:
            word = text.strip()
            is_flag = names[tag] in flags  # for a number, pydantic takes `True` for 1
            options[names[tag]] = _FLAGS.get(word.lower(), word) if is_flag else word
        elif tag not in OWN_TAGS and (tag.startswith(OPTION_PREFIX) or suggestion(tag, names, _ALMOST)):
            near = get_close_matches(tag.partition("/")[2], sorted(known), n=1)
            raise UnknownTagError(
                resource, tag, tuple(f"{OPTION_PREFIX}{one}" for one in near or sorted(known))
            )
    for name, value in options.items():
        tag = f"{OPTION_PREFIX}{name}"
        if name not in own:
            raise OptionDoesNotApplyError(resource, tag, tuple(sorted(own)))
        if name in configured and str(configured[name]) != str(value):
            raise ContradictingOptionsError(resource, tag, str(value), str(configured[name]))
    return options
