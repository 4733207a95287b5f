"""Says where to look, how to log in, and how to ask for a price: what ``docker compose logs login`` shows."""

from __future__ import annotations

import os
from collections.abc import Mapping

from rich.console import Console

from compose.make_secrets import ADMIN
from local.summary import Places, print_summary
from pipeline import datasets
from pipeline.errors import GavelError
from pipeline.settings import Settings, read_settings


def places(settings: Settings, environment: Mapping[str, str]) -> Places:
    """The addresses as people reach them, not as the containers do."""
    address = environment["PUBLIC_ADDRESS"]
    ports = {name: environment[f"PUBLIC_PORT_{name.upper()}"] for name in ("airflow", "mlflow", "serving")}
    return Places(
        **{name: f"http://{address}:{port}" for name, port in ports.items()},
        user=ADMIN,
        password=environment["LOGIN_PASSWORD"],
        model=datasets.load(settings.dataset).model_name,
        api_key=environment["CLIENT_KEY"],
    )


def main() -> None:
    settings = read_settings()
    try:
        print_summary(places(settings, os.environ), settings.store, Console(soft_wrap=True))
    except GavelError as error:
        raise SystemExit(f"login: {error}") from error


if __name__ == "__main__":
    main()
