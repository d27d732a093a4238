"""`RequestTag` marks a request of dlt, and `caller_of` finds out who sent a request.

A `RequestTag` tells `ApiSession` which resource a request belongs to, because all resources share one session in dlt.
The tag is a response hook, because dlt passes no other data with a request. The session removes the tag, and
`caller_of` counts the remaining response hooks of the request. No hook means a token request, and one hook means a
request for rows. More hooks mean that the user configured `response_actions`.
"""

from __future__ import annotations

from typing import Any

from requests import PreparedRequest, Response

from analytics_assets.ingestion.http.read_progress import ReadProgress
from analytics_assets.ingestion.http.response import ResponseReader
from analytics_assets.ingestion.http.retry_policy import Caller, Judge


class RequestTag:
    """Marks a request of dlt as a request for rows. The tag is a response hook that changes no response.

    Args:
        reader: the reader that checks the response.
        auth: the auth of the request.
        progress: the progress of the read by dlt's own paginator; None if a page reader reads the pages.

    Attributes:
        reader: the reader that checks the response.
        auth: the auth of the request.
        progress: the progress of the read by dlt's own paginator; None if a page reader reads the pages.
    """

    def __init__(self, reader: ResponseReader, auth: Any, progress: ReadProgress | None = None) -> None:
        self.reader = reader
        self.auth = auth
        self.progress = progress

    def __call__(self, response: Response, *_: Any, **__: Any) -> Response:
        """Returns the response unchanged."""
        return response


def take_tag(request: PreparedRequest) -> RequestTag | None:
    """Removes the `RequestTag` from a request, and returns the tag; None if the request has no tag."""
    hooks = request.hooks["response"]
    tag = next((hook for hook in hooks if isinstance(hook, RequestTag)), None)
    request.hooks["response"] = [hook for hook in hooks if not isinstance(hook, RequestTag)]
    return tag


def caller_of(request: PreparedRequest) -> Caller:
    """Returns the caller of a request whose tag has been removed.

    dlt adds one hook of its own to a request for rows, and further hooks if the user configured `response_actions`. A
    request without hooks is a request for an OAuth2 token.
    """
    hooks = request.hooks["response"]
    if not hooks:
        return Caller(Judge.TOKEN_REQUEST)
    return Caller(Judge.HOOKS if has_own_hooks(request) else Judge.SESSION)


def has_own_hooks(request: PreparedRequest) -> bool:
    """Whether the user configured `response_actions`, which decide what each response means."""
    return len(request.hooks["response"]) > 1
