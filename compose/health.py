"""``python -m compose.health NAME``: ends with 0 when that component of Airflow has a fresh heartbeat.

Asked over HTTP: a health check that imports Airflow takes seconds of a core each time.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request

URL = "http://airflow-api-server:8080/api/v2/monitor/health"
SECONDS = 8


def main(component: str) -> None:
    try:
        with urllib.request.urlopen(URL, timeout=SECONDS) as answer:
            status = json.load(answer)[component]["status"]
    except (urllib.error.URLError, OSError, ValueError, KeyError) as error:
        sys.exit(f"the API server does not say how {component} is: {error}")
    if status != "healthy":
        sys.exit(f"{component} is {status}")


if __name__ == "__main__":
    main(sys.argv[1])
