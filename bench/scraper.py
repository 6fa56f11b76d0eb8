"""`python -m bench.scraper URL`: scrape once a second until SIGTERM, as Prometheus would."""

from __future__ import annotations

import sys
import time
import urllib.request

_INTERVAL_SECONDS = 1.0


def main() -> None:
    """Scrape. An answer that is none ends it."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.addheaders = [("Accept-Encoding", "gzip"), ("Accept", "application/openmetrics-text;version=1.0.0")]
    while True:
        begun = time.monotonic()
        with opener.open(sys.argv[1]) as answer:
            answer.read()
        time.sleep(max(0.0, begun + _INTERVAL_SECONDS - time.monotonic()))


if __name__ == "__main__":
    main()
