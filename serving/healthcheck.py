"""``python -m serving.healthcheck``: ends with 0 when the server of this container is ready. For its engine."""

from __future__ import annotations

import ssl
import sys
import urllib.error
import urllib.request

from serving.settings import read_settings

SECONDS = 3


def main() -> None:
    settings = read_settings()
    scheme = "https" if settings.tls_certificate else "http"
    # the certificate is for the name that clients use, not for this one
    context = ssl._create_unverified_context() if settings.tls_certificate else None  # noqa: S323, SLF001
    try:
        urllib.request.urlopen(f"{scheme}://127.0.0.1:{settings.port}/readyz", timeout=SECONDS, context=context)  # noqa: S310
    except (urllib.error.URLError, OSError) as error:
        sys.exit(f"not ready: {error}")


if __name__ == "__main__":
    main()
