"""The closing lines: where to look, how to log in, how good the model is, and a line that asks for a price."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from local.keys import USER, Keys
from local.layout import Stack
from pipeline.contract.bundle import MANIFEST
from pipeline.contract.channel import Release, channel_key, read, release_prefix
from pipeline.contract.schema import Schema


def print_summary(stack: Stack, keys: Keys, console: Console) -> None:
    """Print the closing lines; says so when no release is live."""
    urls = stack.ports
    for name, url, note in (
        ("Airflow", urls.url("airflow"), f"log in as {USER} with the password {keys.password}"),
        ("MLflow", f"{urls.url('mlflow')}/#/models/{stack.model}", ""),
        ("serving", f"{urls.url('serving')}/docs", ""),
    ):
        console.print(f"  {name:8} {url:24}  {note}".rstrip(), highlight=False, markup=False, soft_wrap=True)
    release = live(stack)
    if release is None:
        console.print("\nNo release is live yet.", highlight=False)
        return
    document = manifest(stack, release)
    console.print(f"\n{error_line(release, document)}", highlight=False, markup=False, soft_wrap=True)
    console.print("\nAsk for a price:\n", highlight=False)
    console.print(curl(stack, Schema.from_dict(document["schema"])), highlight=False, markup=False, soft_wrap=True)


def live(stack: Stack) -> Release | None:
    """The release that ought to be live; None before the first."""
    path = stack.state.store / channel_key(stack.model)
    return read(path.read_bytes()).champion if path.exists() else None


def manifest(stack: Stack, release: Release) -> Mapping[str, Any]:
    path = stack.state.store / release_prefix(stack.model, release.version) / MANIFEST
    found: Mapping[str, Any] = json.loads(path.read_bytes())
    return found


def error_line(release: Release, document: Mapping[str, Any]) -> str:
    """The live model's mean absolute error on its newest days, beside what it must beat."""
    metrics, unit = document["metrics"], document["schema"]["output_unit"]
    rivals = {"the guide price": metrics.get("baseline"), "the median of similar ones": metrics.get("reference")}
    beside = ", ".join(f"{name} {found['mae']:,.0f}" for name, found in rivals.items() if found)
    simulated = "simulated " if document["lineage"].get("source") == "simulated" else ""
    return (
        f"Version {release.version} is live ({simulated}sales up to {release.data_day}). Its mean error on the newest "
        f"days is {metrics['model']['mae']:,.0f} {unit}" + (f"; beside it: {beside}." if beside else ".")
    )


def example_row(schema: Schema) -> dict[str, Any]:
    return {column.name: column.example for column in schema.inputs}


def curl(stack: Stack, schema: Schema) -> str:
    """A line for a shell that answers with a price."""
    body = json.dumps({"rows": [example_row(schema)]}, ensure_ascii=False)
    url = f"{stack.ports.url('serving')}/v1/predict"
    return f"curl -s {url} -H 'content-type: application/json' -d {shlex.quote(body)}"
