"""The closing lines: where to look, how to log in, how good the model is, and a line that asks for a price."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from pipeline.contract.bundle import BundleInvalid, Manifest
from pipeline.contract.channel import Release
from pipeline.contract.schema import Schema
from pipeline.releases import live_release, read_release
from pipeline.store import KeyNotFound, open_store


@dataclass(frozen=True, slots=True)
class Places:
    """The addresses of the services as people reach them, how to log in to Airflow, and the model's name.

    ``api_key`` is for serving; empty where it lets everybody in.
    """

    airflow: str
    mlflow: str
    serving: str
    user: str
    password: str = field(repr=False)
    model: str
    api_key: str = field(default="", repr=False)


def print_summary(places: Places, store: str, console: Console) -> None:
    """Print the closing lines; says so when no release is live, or the live one in ``store`` cannot be read."""

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    for name, url, note in (
        ("Airflow", places.airflow, f"log in as {places.user} with the password {places.password}"),
        ("MLflow", f"{places.mlflow}/#/models/{places.model}", ""),
        ("serving", f"{places.serving}/docs", ""),
    ):
        say(f"  {name:8} {url:24}  {note}".rstrip())
    opened = open_store(store, read_only=True)
    release = live_release(opened, places.model)
    if release is None:
        say("\nNo release is live yet.")
        return
    try:
        manifest = read_release(opened, places.model, release.version, release.digest).manifest
    except (KeyNotFound, BundleInvalid) as error:
        say(f"\nVersion {release.version} ought to be live, but its release cannot be read: {error}")
        return
    say(f"\n{error_line(release, manifest)}")
    say(f"\nAsk for a price:\n\n{curl(places, manifest.schema)}")


def error_line(release: Release, manifest: Manifest) -> str:
    """The live model's mean absolute error on its newest days, beside what it must beat."""
    metrics, unit = manifest.metrics, manifest.schema.output_unit
    rivals = {"the guide price": metrics.get("baseline"), "the median of similar ones": metrics.get("reference")}
    beside = ", ".join(f"{name} {found['mae']:,.0f}" for name, found in rivals.items() if found)
    simulated = "simulated " if manifest.lineage.get("source") == "simulated" else ""
    return (
        f"Version {release.version} is live ({simulated}sales up to {release.data_day}). Its mean error on the newest "
        f"days is {metrics['model']['mae']:,.0f} {unit}" + (f"; beside it: {beside}." if beside else ".")
    )


def example_row(schema: Schema) -> dict[str, Any]:
    return {column.name: column.example for column in schema.inputs}


def curl(places: Places, schema: Schema) -> str:
    """A line for a shell that answers with a price."""
    body = json.dumps({"rows": [example_row(schema)]}, ensure_ascii=False)
    key = f" -H {shlex.quote(f'x-api-key: {places.api_key}')}" if places.api_key else ""
    return f"curl -s {places.serving}/v1/predict{key} -H 'content-type: application/json' -d {shlex.quote(body)}"
