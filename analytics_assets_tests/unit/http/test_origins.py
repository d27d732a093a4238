"""Which URLs have the origin of the API."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from analytics_assets.config.models import RequestsConfig
from analytics_assets.ingestion.http.origins import Origins, origin_of


@pytest.mark.parametrize(
    ("base_url", "url", "is_trusted"),
    [
        ("https://api.example.com/v1", "https://api.example.com/v2/rows?page=2", True),
        ("https://api.example.com/v1", "HTTPS://API.EXAMPLE.COM:443/v1", True),
        ("https://api.example.com/v1", "http://api.example.com/v1", False),
        ("https://api.example.com/v1", "https://api.example.com:8443/v1", False),
        ("https://api.example.com/v1", "https://api.example.com.evil.com/v1", False),
        ("https://api.example.com/v1", "https://evil.com/https://api.example.com/v1", False),
        ("https://api.example.com/v1", "https://api.example.com@evil.com/v1", False),
        ("https://api.example.com/v1", "https://evil.com#@api.example.com/", False),
        ("https://api.example.com/v1", "https://eu.api.example.com/v1", False),
        ("https://api.example.com/v1", "//api.example.com/v1", False),
        ("https://api.example.com/v1", "ftp://api.example.com/v1", False),
        ("https://api.example.com/v1", "https://api.example.com:x/v1", False),
        ("https://api.example.com/v1", "https:///v1", False),
        ("http://api.example.com", "https://api.example.com/", True),
        ("http://api.example.com:8080", "https://api.example.com:8080/", False),
        ("http://api.example.com:8080", "https://api.example.com/", False),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/", True),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8081/", False),
        ("http://[::1]:8080", "http://[::1]:8080/", True),
        ("http://[::1]", "https://[::1]/", True),
        ("", "", False),
        ("no url", "no url", False),
    ],
)  # fmt: skip
def test_the_origin_of_base_url_is_trusted(base_url: str, url: str, is_trusted: bool) -> None:
    assert Origins(base_url).trusts(url) is is_trusted
    assert not Origins(base_url).may_download(url)


def test_other_origins_are_named_in_the_file() -> None:
    origins = Origins("https://api.a.com", ["https://eu.a.com"], ["https://files.a.com:444"])
    assert origins.trusts("https://eu.a.com/v1")
    assert not origins.trusts("https://files.a.com:444/x")
    assert origins.may_download("https://files.a.com:444/x")
    assert not origins.may_download("https://files.a.com/x")


def test_the_text_of_an_origin_has_no_path_and_no_user() -> None:
    assert origin_of("https://me:secret@Files.A.com:443/x?key=secret") == "https://files.a.com"
    assert origin_of("http://[::1]:90/x") == "http://[::1]:90"


@pytest.mark.parametrize(
    "written", ["api.example.com", "https://", "https://a.com/v1", "https://me@a.com", "ftp://a.com", "*"]
)
@pytest.mark.parametrize("key", ["trusted_origins", "download_origins"])
def test_an_origin_in_the_file_is_scheme_and_host(key: str, written: str) -> None:
    with pytest.raises(ValidationError, match="this is not an origin"):
        RequestsConfig(**{key: [written]})
