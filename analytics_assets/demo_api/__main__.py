"""`python -m analytics_assets.demo_api`: serves the demo API on loopback until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
from datetime import date

from analytics_assets.demo_api.server import DEFAULT_KEY, DEFAULT_PORT, create_app, listen, make_server


def main() -> None:
    """Reads the command line and serves the API."""
    parser = argparse.ArgumentParser(prog="python -m analytics_assets.demo_api", description=__doc__)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--api-key", default=DEFAULT_KEY)
    parser.add_argument("--today", type=date.fromisoformat, help="serve the data of this day (YYYY-MM-DD)")
    options = parser.parse_args()
    try:
        listener = listen(options.port)
    except OSError as error:
        sys.exit(
            f"Port {options.port} is taken ({error.strerror}). Stop what listens there, or choose another with --port."
        )
    sys.stdout.write(f"Demo API on http://127.0.0.1:{options.port} (Ctrl-C stops it)\n")
    sys.stdout.flush()
    make_server(create_app(api_key=options.api_key, today=options.today)).run(sockets=[listener])


if __name__ == "__main__":
    main()
