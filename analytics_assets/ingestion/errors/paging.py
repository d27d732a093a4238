"""Failures to find the next page or the end of the pages in a response of the API."""

from __future__ import annotations

from dataclasses import dataclass, field

from analytics_assets.ingestion.errors.base import Fault, counted
from analytics_assets.ingestion.errors.responses import UnreadableResponseError
from analytics_assets.ingestion.errors.restarts import RestartError


def single_page(resource: str, more: str) -> str:
    """The sentence for an endpoint that has only one page, without the full stop.

    Args:
        resource: the dlt resource.
        more: the clause with which a single page would say that there is more; empty if it does not.
    """
    sentence = "If the endpoint has only one page, set `paginator: single_page`"
    return f"{sentence}, and {ignore_total(resource)}, because its response {more}" if more else sentence


def ignore_total(resource: str) -> str:
    """The settings that accept the end of paging, for one resource and for all."""
    return f"assets.{resource}.ignore_total: true (for all resources: requests.ignore_total)"


_NULLABLE = ("total_path", "has_more_path")
"""The settings of a paginator that may be null."""


@dataclass(eq=False)
class MorePagesError(UnreadableResponseError):
    """Paging has ended, but the last response says that there is more.

    Attributes:
        endpoint: the method and path of the request, without the query.
        more: the clause that names the field or header, such as `has `total` 250`.
        rows: the number of rows that were read.
    """

    endpoint: str
    more: str
    rows: int
    code = "more_pages"

    @property
    def cause(self) -> str:
        return f"the last response of {self.endpoint} {self.more}, and {counted(self.rows, 'row')} were read"

    @property
    def cure(self) -> str:
        return (
            "Nothing was loaded. If the endpoint has more pages, set the `paginator` that reads them. If these are all "
            f"rows, set {ignore_total(self.resource)}"
        )


@dataclass(eq=False)
class NoNewRowsError(UnreadableResponseError):
    """The API sends page after page without a new row, and always says that there is another page.

    Attributes:
        endpoint: the method and path of the request, without the query.
        pages: the number of pages without a new row.
        more: the clause with which the first response says that there is more, even if it is the only page.
    """

    endpoint: str
    pages: int
    more: str = ""
    code = "no_new_rows"

    @property
    def cause(self) -> str:
        return f"the last {counted(self.pages, 'page')} of {self.endpoint} had no new row, and each led to another page"

    @property
    def cure(self) -> str:
        return (
            f"Nothing was loaded. {single_page(self.resource, self.more)}. Otherwise set the "
            "paginator's has_more_path, or stop_after_empty_page: true. If the API does send so many pages without a "
            "new row, raise requests.max_empty_pages"
        )


@dataclass(eq=False)
class SamePageError(RestartError):
    """A page begins with rows of an earlier page, as if the API ignored the paginator's parameter.

    Attributes:
        endpoint: the method and path of the request, without the query.
        parameter: the name of the parameter that leads to the page.
        more: the clause with which the first response says that there is more, even if it is the only page.
        way_out: what to set if the API refuses only some values of the parameter; empty if there is no such setting.
    """

    endpoint: str
    parameter: str
    more: str = field(default="", kw_only=True)
    way_out: str = field(default="", kw_only=True)
    code = "same_page"
    fault = Fault.CONFIG

    @property
    def cause(self) -> str:
        return f"`{self.parameter}` does not lead to another page of {self.endpoint}{self._times}: {self.observation}"

    def recurs(self, before: RestartError | None) -> bool:
        """Whether the attempt before failed in the same way, so that no row has moved."""
        return isinstance(before, SamePageError) and before.observation == self.observation

    @property
    def cure(self) -> str:
        return (
            f"Nothing was loaded. {single_page(self.resource, self.more)}. Otherwise correct `{self.parameter}` in "
            "the paginator" + (f". {self.way_out}" if self.way_out else "")
        )


@dataclass(eq=False)
class EndlessReadError(UnreadableResponseError):
    """A read has as many pages as `requests.max_pages` allows, and there is another page.

    Attributes:
        endpoint: the method and path of the request, without the query.
        pages: the number of pages read.
    """

    endpoint: str
    pages: int
    code = "endless_read"

    @property
    def cause(self) -> str:
        return (
            f"{counted(self.pages, 'page')} of {self.endpoint} were read, which is requests.max_pages, and the API "
            "says that there is another one"
        )

    @property
    def cure(self) -> str:
        return (
            "Nothing was loaded. Check whether the API knows the paginator's parameters. If it does have so many "
            "pages, ask for larger ones, or raise requests.max_pages in the file"
        )


@dataclass(eq=False)
class TotalOfPageError(UnreadableResponseError):
    """The paginator's total counts other rows than those that the API sends.

    Attributes:
        endpoint: the method and path of the request, without the query.
        path: the JSONPath of the total.
    """

    endpoint: str
    path: str
    code = "total_of_page"

    @property
    def cause(self) -> str:
        return f"`{self.path}` is the number of rows of each page of {self.endpoint}, and not of all rows"

    @property
    def cure(self) -> str:
        return "Nothing was loaded. Set the paginator's total_path to the number of all rows, or to null"


@dataclass(eq=False)
class PagingFieldError(UnreadableResponseError):
    """A field that the paginator reads is missing, or its value has the wrong kind.

    Attributes:
        endpoint: the method and path of the request, without the query.
        path: the JSONPath of the field, as the user wrote it.
        setting: the setting of the paginator, such as `total_path`.
        found: the wrong kind, such as `text`; empty if the field is missing.
        present: the clause that names the fields of the response, never a value.
    """

    endpoint: str
    path: str
    setting: str
    found: str
    present: str
    code = "paging_field"

    @property
    def cause(self) -> str:
        if self.found:
            return f"`{self.path}` is {self.found} in the response of {self.endpoint}"
        return f"the response of {self.endpoint} has no `{self.path}`{self.present}"

    @property
    def cure(self) -> str:
        if self.setting in _NULLABLE:
            return f"Set the paginator's {self.setting} to the field that holds it, or to null. {single_page('', '')}"
        return (
            f"Set the paginator's {self.setting} to the field that leads to the next page, or choose the `paginator` "
            "that fits the API"
        )


@dataclass(eq=False)
class RefusedResponseError(UnreadableResponseError):
    """dlt's own paginator cannot read a response.

    Attributes:
        problem: the beginning of dlt's error text, without the response.
    """

    problem: str
    code = "refused_response"

    @property
    def cause(self) -> str:
        return f"dlt's paginator cannot read a response: {self.problem}"

    @property
    def cure(self) -> str:
        return "Make the paginator's total_path or has_more_path fit it, or set them to null"
