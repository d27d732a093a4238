"""Says which keys of a `defs.yaml` usually hold a secret, and which texts look like one.

What belongs here: judging names and texts. `written_secrets.py` refuses a secret that is written out, and
`templates.py` reads a template when a run starts if its key usually holds a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORDS = frozenset({
    "authorization", "cookie", "credential", "credentials", "jwt", "passphrase", "passwd", "password",
    "passwords", "secret", "secrets", "token", "tokens",
})  # fmt: skip
"""A name with one of these words is that of a secret."""

_BEFORE_KEY = frozenset({
    "access", "account", "api", "app", "application", "auth", "client", "consumer", "developer",
    "functions", "master", "private", "shared", "signing", "subscription", "user", "write",
})  # fmt: skip
"""With one of these words before `key`, a name is that of a secret, as `DD-APPLICATION-KEY`. `sort_key` is not."""

_JOINED = frozenset({
    "accesstoken", "apikey", "apitoken", "appkey", "authtoken", "clientsecret", "hapikey", "idtoken", "pwd",
    "refreshtoken", "secretkey", "sessionid",
})  # fmt: skip

_LAST = frozenset({
    "budget", "count", "data", "endpoint", "expiration", "expires", "expiry", "field", "format", "id",
    "length", "lifetime", "limit", "location", "name", "reset", "scope", "size", "ttl", "type", "uri",
    "url", "usage",
})  # fmt: skip
"""A name that ends with one of these words is not that of a secret, as `access_token_url`."""

_USUAL = frozenset({
    "appid", "auth", "key", "sig",
})  # fmt: skip
"""Names that are those of a secret for some APIs only, as `key` for Google's."""

_PAGING = frozenset({
    "change", "continuation", "csrf", "cursor", "next", "nextpage", "page", "pagination", "skip", "sync",
    "xsrf",
})  # fmt: skip
"""Words before `token` in the name of a cursor, such as `page_token`, which is no secret."""

_PLAIN_HEADERS = frozenset({
    "accept", "content-language", "content-type", "from", "host", "if-modified-since", "origin", "prefer",
    "range", "referer", "user-agent",
})  # fmt: skip

_WRITTEN = re.compile(
    r"""(?:
      (?:bearer|basic|token|apikey)\s+[\w.+/=~-]{16,}               # the value of `Authorization`
    | eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*                                # a JSON Web Token
    | (?:sk|rk|pk)_(?:live|test)_\w{10,}                             # Stripe
    | (?:ghp|gho|ghu|ghs|ghr)_\w{20,} | github_pat_\w{20,}           # GitHub
    | glpat-[\w-]{16,} | xox[abeoprs]-[\w-]{10,} | xapp-[\w-]{10,}   # GitLab, Slack
    | AKIA[0-9A-Z]{16} | AIza[\w-]{35} | ya29\.[\w-]{20,}            # AWS, Google
    | shp(?:at|ca|pa|ss)_[0-9a-fA-F]{20,} | SG\.[\w-]{16,}\.[\w-]+   # Shopify, SendGrid
    | pat-(?:na|eu)\d-[0-9a-f-]{30,} | key-[0-9a-f]{32}              # HubSpot, Mailgun
    | whsec_\w{16,} | sk-(?:ant|proj)-[\w-]{16,} | NRAK-\w{20,}       # Stripe, OpenAI, New Relic
    | (?:secret|ntn)_[A-Za-z0-9]{30,} | lin_api_\w{20,} | npm_\w{30,} # Notion, Linear, npm
    | \bpat[A-Za-z0-9]{14}\.[0-9a-f]{40,} | \bEAA[A-Za-z0-9]{40,}     # Airtable, Facebook
    | \b(?:bot)?\d{8,10}:[\w-]{30,}                                  # Telegram
    | https?://[^/?\#\s]*:[^/?\#\s]*@                                 # a URL with a password
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_RANDOM = re.compile(r"(?=[^\d]*\d)(?=[^A-Za-z]*[A-Za-z])[\w.+/=~-]{20,}")


def names_a_secret(name: str) -> bool:
    """Whether a header, a parameter or a field with this name usually holds a secret."""
    words = _words(name)
    if not words or words[-1] in _LAST:
        return False
    return any(
        word in _JOINED
        or (word == "key" and before in _BEFORE_KEY)
        or (word in _WORDS and not (word == "token" and before in _PAGING))
        for before, word in zip(["", *words], words, strict=False)
    )


def name_of_setting(source: str, field: str) -> str:
    """The environment variable of dlt's setting `sources.<source>.<field>`, such as `SOURCES__SHOP__API_KEY`."""
    return f"SOURCES__{source}__{field}".upper()


def variable_of_a_secret(name: str) -> bool:
    """Whether an environment variable with this name may hold a secret, such as `STRIPE_KEY`."""
    return names_a_secret(name) or _words(name)[-1:] in (["key"], ["pat"], ["jwt"], ["pass"])


def is_plain_header(name: str) -> bool:
    """Whether a header with this name holds no secret, such as `User-Agent` or `X-Api-Version`."""
    lower = name.lower()
    is_version = "version" in _words(name) and not names_a_secret(name)
    return lower in _PLAIN_HEADERS or lower.startswith("accept-") or is_version


def looks_secret(name: str, text: str) -> bool:
    """Whether a text at a key with this name has the form of an API key or an access token."""
    return bool(_WRITTEN.search(text) or (name.lower() in _USUAL and _RANDOM.fullmatch(text)))


def is_secret_default(name: str, variables: Iterable[str], text: str) -> bool:
    """Whether the default of a template is a secret that is written out.

    Args:
        name: the key of the file, such as `api_key`.
        variables: the names that the template reads.
        text: the default.
    """
    if not text or not any(map(str.isalnum, text)):
        return False
    named = any(map(names_a_secret, (name, *variables)))
    return named or (any(map(variable_of_a_secret, variables)) and bool(_RANDOM.fullmatch(text)))


def _words(key: str) -> list[str]:
    """The words of a name: `X-ApiKey`, `api_key` and `apiKey` have the same."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", key)
    return [one.lower() for one in re.split(r"[^A-Za-z0-9]+", spaced) if one]
