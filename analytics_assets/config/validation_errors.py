"""Reports a mistake in a `defs.yaml` at its key: what is wrong, and what to write instead.

What belongs here: functions that make an error at a key. The other modules of `config` have the rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails

Location = tuple[str | int, ...]


def error_at(location: Location, message: str) -> ValidationError:
    """Makes a validation error with `message` at the key `location`.

    The error has pydantic's own type `value_error`, because Dagster adds file and line only to errors of pydantic's own
    types.
    """
    error = InitErrorDetails(type="value_error", loc=location, input=None, ctx={"error": ValueError(message)})
    return ValidationError.from_exception_data("defs.yaml", [error])


def named(rest_api: Any, place: Location, sentence: str) -> str:
    """Puts the name of the resource before a sentence, if the sentence is about a key of a resource.

    Args:
        rest_api: the REST API config.
        place: the keys that lead to the mistake in `rest_api`.
        sentence: the sentence.
    """
    name = value_at(rest_api, (*place[:2], "name")) if place[:1] == ("resources",) else None
    return f"{name}: {sentence}" if isinstance(name, str) else sentence


def suggestion(word: str, known: Iterable[str], similar: float = 0.6) -> str:
    """Returns ` Did you mean …?` with the closest of `known`, or an empty text if none is close.

    Args:
        word: the word that the user wrote.
        known: the words that are possible.
        similar: how similar the closest word must be, from 0 to 1.
    """
    matches = get_close_matches(word, sorted(known), n=1, cutoff=similar)
    return f" Did you mean `{matches[0]}`?" if matches else ""


def value_at(document: Any, location: Location) -> Any:
    """The value at `location` in a document; None if there is no value."""
    for part in location:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document
