"""The channels of alerts: Apprise services whose URLs are in the setting `sources.alerts`.

What belongs here: code that reads the setting `sources.alerts`, and code that sends one message. `sensor.py` decides
when to send a message.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analytics_assets.ingestion.source.settings import provided

if TYPE_CHECKING:
    from apprise import Apprise

_SETTING = "alerts"


@dataclass(frozen=True)
class Channel:
    """One service that delivers messages to people.

    Attributes:
        id: the id of the channel, a hash of its URL, because the URL may contain a password.
        name: the name of the service, such as `Slack`.
    """

    id: str
    name: str
    _sender: "Apprise"

    def send(self, title: str, body: str, *, good: bool) -> bool:
        """Sends one message. Returns whether the service accepted the message."""
        from apprise import NotifyFormat, NotifyType  # noqa: PLC0415  apprise is optional

        kind = NotifyType.SUCCESS if good else NotifyType.FAILURE
        return bool(
            self._sender.notify(title=title, body=body, notify_type=kind, body_format=NotifyFormat.TEXT)
        )


def open_channels(source: str) -> tuple[Sequence[Channel], Sequence[str]]:
    """Returns the channels of a source, from `sources.<source>.alerts`, or else from `sources.alerts`.

    Returns:
        The channels, and one sentence for each problem, such as a URL that Apprise does not know.
    """
    own = provided(_SETTING, "sources", source)
    written = own if own is not None else provided(_SETTING, "sources")
    setting = f"SOURCES__{source.upper()}__ALERTS" if own is not None else "SOURCES__ALERTS"
    if not written:
        return (), ()
    try:
        from apprise import Apprise  # noqa: PLC0415  apprise is optional
    except ImportError:
        return (), (
            f"{setting} names a channel, and Apprise, which sends to it, is not installed: "
            "pip install 'analytics_assets[alerts]'.",
        )
    channels, troubles = [], []
    for number, url in enumerate(written.split(), 1):
        service = Apprise.instantiate(url)
        if service is None:
            # The text names the channel by its number and not by its URL, because the URL may contain a password.
            troubles.append(
                f"{setting}: channel {number} is no URL that Apprise knows: write it as in Apprise's list of services, "
                "such as slack://… or mailto://…, with spaces between several."
            )
            continue
        identity = hashlib.sha256(url.encode()).hexdigest()[:16]
        sender = Apprise()
        sender.add(service)
        channels.append(Channel(identity, str(service.service_name), sender))
    return channels, troubles
