"""Reports a mistake in a `defs.yaml` at its key: what is wrong, and what to write instead.

What belongs here: functions that make an error at a key. The other modules of `config` have the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails

Location = tuple[str | int, ...]

_A_NUMBER = "without a unit and without quotes"

_CURES = {
    "greater_than": "Raise it",
    "greater_than_equal": "Raise it",
    "less_than": "Lower it",
    "less_than_equal": "Lower it",
    "int_type": f"Write a whole number, {_A_NUMBER}",
    "int_parsing": f"Write a whole number, {_A_NUMBER}",
    "int_from_float": f"Write a whole number, {_A_NUMBER}",
    "float_type": f"Write a number, {_A_NUMBER}",
    "float_parsing": f"Write a number, {_A_NUMBER}",
    "string_type": "Write text, in quotes",
    "bool_type": "Write true or false, without quotes",
    "bool_parsing": "Write true or false, without quotes",
    "list_type": "Write a list, also for one item, such as `[x]`",
    "dict_type": "Write keys with values below it",
    "model_type": "Write keys with values below it",
    "literal_error": "Write one of these words",
    "missing": "Add the key",
    "too_long": "Remove some",
}
"""What to do about a mistake that pydantic finds itself, by the type of its error."""

_NUMBERS = ("greater_", "less_", "int_", "float_")


class InvalidFileError(ValueError):
    """A `defs.yaml` has mistakes. The text has a line for each: key, file, line, what is wrong, and what to write."""

    def __init__(self, error: ValidationError) -> None:
        super().__init__("\n".join(f"`{_dotted(one['loc'])}`: {sentence_of(one)}" for one in error.errors()))


def sentence_of(error: Mapping[str, Any], meaning: str | None = None) -> str:
    """Returns what is wrong, and what to write instead.

    Args:
        error: an error of pydantic's `errors()`.
        meaning: what the key means, which says the unit of a number.
    """
    said, kind = str(error["msg"]).removeprefix("Value error, "), error["type"]
    cure = _CURES.get(kind)
    if cure is None:
        return said
    if kind == "literal_error" and isinstance(error.get("input"), bool):
        cure = "YAML reads `on`, `off`, `yes` and `no` as true and false. " + cure
    unit = (
        f" It means: {meaning.partition('. ')[0].removesuffix('.')}."
        if meaning and kind.startswith(_NUMBERS)
        else ""
    )
    return f"{said}. {cure}.{unit}"


def in_sentences(error: ValidationError, meaning: str | None = None) -> ValidationError:
    """Returns the same errors, each with a sentence that says what to write instead.

    Args:
        error: the errors of one key, and of the keys below it.
        meaning: what the key means.
    """
    found = []
    for one in error.errors():
        sentence = sentence_of(one, meaning if not one["loc"] else None)
        ctx = {"error": ValueError(sentence)}
        found.append(InitErrorDetails(type="value_error", loc=one["loc"], input=one["input"], ctx=ctx))
    return ValidationError.from_exception_data(error.title, found, hide_input=True)


def _dotted(location: Location) -> str:
    return ".".join(map(str, location))


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
