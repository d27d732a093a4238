"""What travels with dlt's request to our session: whose request it is.

dlt gives one session to all resources, and no way to pass anything with a request but its hooks.
"""

from __future__ import annotations

from typing import Any

from dlt.sources.helpers.rest_client.auth import OAuth2AuthBase
from requests import PreparedRequest, Response

from analytics_assets.ingestion.http.response import ResponseReader
from analytics_assets.ingestion.http.retry_policy import Caller, Judge


class RequestTag:
    """Marks a request as one for rows. It is a response hook that does nothing.

    Args:
        reader: reads its responses.
        auth: of the request.

    Attributes:
        reader: as above.
        auth: as above.
    """

    def __init__(self, reader: ResponseReader, auth: Any) -> None:
        self.reader = reader
        self.auth = auth

    def __call__(self, response: Response, *_: Any, **__: Any) -> Response:
        """Leaves the response as it is."""
        return response


def take_tag(request: PreparedRequest) -> RequestTag | None:
    """Takes the tag off a request."""
    hooks = request.hooks["response"]
    tag = next((hook for hook in hooks if isinstance(hook, RequestTag)), None)
    request.hooks["response"] = [hook for hook in hooks if not isinstance(hook, RequestTag)]
    return tag


def caller_of(request: PreparedRequest, tag: RequestTag | None) -> Caller:
    """What a request without its tag is for.

    dlt hangs one hook of its own on a request for rows, and more where the user has `response_actions`. A request
    without hooks is for an OAuth2 token.
    """
    hooks = request.hooks["response"]
    if not hooks:
        return Caller(Judge.TOKEN_REQUEST)
    has_token = tag is not None and isinstance(tag.auth, OAuth2AuthBase)
    return Caller(Judge.HOOKS if has_own_hooks(request) else Judge.SESSION, has_token)


def has_own_hooks(request: PreparedRequest) -> bool:
    """Whether the user has `response_actions`, which judge each response."""
    return len(request.hooks["response"]) > 1
