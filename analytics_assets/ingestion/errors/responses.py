"""Failures to find rows in a response of the API."""

from __future__ import annotations

from dataclasses import dataclass

from analytics_assets.ingestion.errors.api import ApiError


@dataclass(eq=False)
class UnreadableResponseError(ApiError):
    """A response of the API does not match the config in the `defs.yaml`."""


@dataclass(eq=False)
class UnfollowableLinkError(UnreadableResponseError):
    """A request cannot be sent: its URL is malformed, or the server's certificate is not valid.

    Attributes:
        error: what cannot be sent, or the class name of the network error, whose text may contain a secret.
    """

    error: str
    code = "unfollowable_link"

    @property
    def cause(self) -> str:
        return f"a request could not be sent ({self.error})"

    @property
    def cure(self) -> str:
        return (
            "Check base_url, its certificate, where the API's links lead, and the values of parent rows in "
            "endpoint.params"
        )


@dataclass(eq=False)
class AnswerTooLargeError(UnreadableResponseError):
    """A response is larger than `requests.max_answer_bytes`.

    Attributes:
        endpoint: the method and path of the request, without the query.
        limit: `max_answer_bytes`.
    """

    endpoint: str
    limit: int
    code = "answer_too_large"

    @property
    def cause(self) -> str:
        return f"the response of {self.endpoint} has more than {self.limit:,} bytes"

    @property
    def cure(self) -> str:
        return "Ask for smaller pages, such as a lower `limit`, or raise requests.max_answer_bytes"


@dataclass(eq=False)
class NotJsonError(UnreadableResponseError):
    """The body of a response is not JSON.

    Attributes:
        endpoint: the method and path of the request, without the query; empty if the request is unknown.
    """

    endpoint: str
    code = "not_json"

    @property
    def cause(self) -> str:
        return f"the response of {self.endpoint or 'the API'} is not JSON"

    @property
    def cure(self) -> str:
        return "Check base_url and path, or ask the API's owner"


@dataclass(eq=False)
class MissingRowsError(UnreadableResponseError):
    """The `data_selector` finds no rows, and nothing else in the response says that the page is empty.

    Attributes:
        endpoint: the method and path of the request, without the query.
        selector: the `data_selector`.
        found: the text `nothing` or `null`.
        present: the clause that names the fields of the response, never a value.
    """

    endpoint: str
    selector: str
    found: str
    present: str
    code = "missing_rows"

    @property
    def cause(self) -> str:
        return f"data_selector `{self.selector}` finds {self.found} in the response of {self.endpoint}{self.present}"

    @property
    def cure(self) -> str:
        meaning = "null" if self.found == "null" else "absent"
        return (
            f"Correct it. If the API means no rows by it, set assets.{self.resource}.empty_answer: {meaning}. If it "
            "means something else, set requests.responses"
        )


@dataclass(eq=False)
class UnfitJsonPathError(UnreadableResponseError):
    """A function in a JSONPath gets a value of a kind that it cannot read.

    Attributes:
        function: the function as the file has it, such as `sub(/a/, b)`.
    """

    function: str
    code = "unfit_json_path"

    @property
    def cause(self) -> str:
        return (
            f"`{self.function}` in a JSONPath finds null, a number, a list or an object, and reads only text"
        )

    @property
    def cure(self) -> str:
        return "Nothing was loaded. Set data_selector, or the path of the paginator, to a field that is always text"


@dataclass(eq=False)
class AmbiguousRowsError(UnreadableResponseError):
    """No `data_selector` is set, and more than one value of the response could be the rows.

    Attributes:
        endpoint: the method and path of the request, without the query.
        candidates: the JSONPaths of the values that could be the rows.
        problem: the clause that says why the rows are unclear.
    """

    endpoint: str
    candidates: tuple[str, ...]
    problem: str
    code = "ambiguous_rows"

    @property
    def cause(self) -> str:
        return f"the response of {self.endpoint} has {self.problem}, so its rows are unclear"

    @property
    def cure(self) -> str:
        return f"Set data_selector to one of {', '.join(f'`{one}`' for one in self.candidates)}"


@dataclass(eq=False)
class ErrorAnswerError(UnreadableResponseError):
    """A response with a success status reports an error, and has no rows.

    Attributes:
        endpoint: the method and path of the request, without the query.
        member: the field that reports the error, such as `errors`.
        words: the API's own words, redacted; empty if there are none.
    """

    endpoint: str
    member: str
    words: str
    code = "error_answer"

    @property
    def cause(self) -> str:
        words = f": {self.words}" if self.words else ""
        return f"the response of {self.endpoint} has no rows, and reports an error in `{self.member}`{words}"

    @property
    def cure(self) -> str:
        return (
            "Nothing was loaded. Correct the request, or add a rule for this response to requests.responses: `retry` "
            "if it is temporary, or `empty` if it means no rows"
        )


@dataclass(eq=False)
class RowsNotAListError(UnreadableResponseError):
    """The `data_selector` finds a value that is not a list of rows.

    Attributes:
        endpoint: the method and path of the request, without the query.
        selector: the `data_selector`.
        found: the kind of the value, such as `an object`.
    """

    endpoint: str
    selector: str
    found: str
    code = "rows_not_a_list"

    @property
    def cause(self) -> str:
        return f"data_selector `{self.selector}` finds {self.found} and no list in the response of {self.endpoint}"

    @property
    def cure(self) -> str:
        return (
            "Set data_selector to the list of rows. If the API sends one object in place of a list, set "
            f"assets.{self.resource}.one_object: true"
        )


@dataclass(eq=False)
class ObjectAfterListsError(UnreadableResponseError):
    """An object without a known field came where earlier responses had lists of rows.

    Attributes:
        endpoint: the method and path of the request, without the query.
        present: the clause that names the fields of the object, never a value.
        before: what came before.
    """

    endpoint: str
    present: str
    before: str = "lists"
    code = "object_after_lists"

    @property
    def cause(self) -> str:
        found = f"{self.endpoint} returned an object where {self.before} came before{self.present}"
        return f"{found}. None of its fields is known"

    @property
    def cure(self) -> str:
        return (
            "Nothing was loaded. If the object says that the rows are not ready, add a rule to requests.responses, "
            "such as `{body: {status: pending}, action: retry}`. If it is a row, declare one of its fields under "
            f"columns, or set assets.{self.resource}.one_object: true"
        )


@dataclass(eq=False)
class NoListError(UnreadableResponseError):
    """No `data_selector` is set, and the response has no list, and no declared field either.

    Attributes:
        endpoint: the method and path of the request, without the query.
        present: the clause that names the fields of the response, never a value.
    """

    endpoint: str
    present: str
    code = "no_list"

    @property
    def cause(self) -> str:
        return f"there is no list in the response of {self.endpoint}{self.present}"

    @property
    def cure(self) -> str:
        return "Set data_selector to the list of rows, or to `$` if the response is the only row"
