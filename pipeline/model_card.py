"""The model card: what a version predicts, from what, how well, where not, and how to ask it. Markdown.

After M. Mitchell et al., "Model Cards for Model Reporting", FAT* 2019. Not here: the figures themselves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pipeline.contract.bundle import Manifest
from pipeline.contract.schema import Schema
from pipeline.datasets.declaration import Dataset

LONGEST = 5000  # MLflow's own limit of a version's description
SHOWN = 3
LEAST_ROWS = 50


def model_card(
    dataset: Dataset,
    manifest: Manifest,
    metrics: Mapping[str, Any],
    importance: Mapping[str, float],
    serving_url: str,
) -> str:
    """At most 5,000 characters of Markdown. ``metrics`` and ``importance`` are those of the trained folder."""
    parts = [
        _what(dataset, manifest),
        _errors(dataset, metrics),
        _interval(dataset, metrics),
        _slices(dataset, metrics),
        _importance(dataset, importance),
        _cleaning(dataset, metrics),
        _limits(dataset, manifest),
        _call(manifest.schema, serving_url),
    ]
    card = "\n\n".join(part for part in parts if part) + "\n"
    return card if len(card) <= LONGEST else card[: LONGEST - 2] + "…\n"


def _what(dataset: Dataset, manifest: Manifest) -> str:
    lineage = manifest.lineage
    days = lineage["days"]
    with_baseline = ""
    if dataset.baseline:
        with_baseline = f", {'with' if lineage['with_baseline'] else 'without'} `{dataset.baseline}`"
    return (
        f"### {dataset.title}\n\n"
        f"Predicts `{dataset.target.name}`, {dataset.target.description}, in {dataset.target.unit}, from "
        f"{len(manifest.schema.inputs)} columns{with_baseline}. Learned from {lineage['rows']:,} sales of "
        f"{len(days)} days, {days[0][0]} to {manifest.data_day}, of `{lineage['source']}`."
    )


def _errors(dataset: Dataset, metrics: Mapping[str, Any]) -> str:
    unit = dataset.target.unit
    days = metrics["test_days"]
    sales = f"{metrics['model']['rows']:,} sales of {len(days)} days ({days[0]} to {days[-1]})"
    rows = [
        "### Error on the newest days\n",
        f"On {sales} that the measured fit had not seen:\n",
        f"| | mean error, {unit} | median % | mean % | RMSLE | R² | bias, {unit} |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    names = {
        "model": f"**this model** ({metrics['family']})",
        "baseline": f"`{dataset.baseline}`",
        "reference": _guess(dataset),
    }
    rows += [_error_row(name, metrics[part]) for part, name in names.items() if metrics.get(part)]
    return "\n".join(rows)


def _guess(dataset: Dataset) -> str:
    return f"median by {', '.join(dataset.reference)}"


def _error_row(name: str, figures: Mapping[str, Any]) -> str:
    r2 = "-" if figures["r2"] is None else f"{figures['r2']:.3f}"
    return (
        f"| {name} | {figures['mae']:,.0f} | {figures['median_ape']:.1%} | {figures['mape']:.1%} "
        f"| {figures['rmsle']:.3f} | {r2} | {figures['bias']:+,.0f} |"
    )


def _interval(dataset: Dataset, metrics: Mapping[str, Any]) -> str:
    model = metrics["model"]
    if model.get("coverage") is None:
        return ""
    return (
        f"`low` to `high` is an 80 % interval: it held {model['coverage']:.1%} of these prices, "
        f"{model['mean_width']:,.0f} {dataset.target.unit} wide on average."
    )


def _slices(dataset: Dataset, metrics: Mapping[str, Any]) -> str:
    """Best and worst values of each slice, by mean percentage error, among those with enough rows to mean something."""
    unit = dataset.target.unit
    lines = []
    for name, values in metrics["slices"].items():
        ranked = sorted((f["mape"], label, f) for label, f in values.items() if f["rows"] >= LEAST_ROWS)
        best = ranked[:SHOWN]
        worst = ranked[max(len(best), len(ranked) - SHOWN) :]
        lines += [_slice_row(name, "best", best, unit), _slice_row(name, "worst", worst[::-1], unit)]
    lines = [line for line in lines if line]
    if not lines:
        return ""
    return "### Where it is good and where not\n\n| slice | | mean % error (mean error) |\n|---|---|---|\n" + "\n".join(
        lines
    )


def _slice_row(name: str, kind: str, ranked: list[tuple[float, str, Mapping[str, Any]]], unit: str) -> str:
    if not ranked:
        return ""
    texts = [f"{_plain(label)} {mape:.1%} ({figures['mae']:,.0f} {unit})" for mape, label, figures in ranked]
    return f"| {name} | {kind} | {'; '.join(texts)} |"


def _plain(label: str) -> str:
    return band_text(label).replace("|", "/")[:40]


def band_text(label: str) -> str:
    """The label of a slice without the number that keeps bands in order."""
    return re.sub(r"^\d+ (?=below \S+$|\S+ to \S+$|\S+ and more$|\(not known\)$)", "", label)


def _importance(dataset: Dataset, importance: Mapping[str, float]) -> str:
    first = sorted(importance.items(), key=lambda item: -item[1])[:SHOWN]
    if not first:
        return ""
    texts = [f"`{name}` ({value:,.0f} {dataset.target.unit})" for name, value in first]
    return f"It leans most on {', '.join(texts)}: how much the mean error grows when the column is shuffled."


def _cleaning(dataset: Dataset, metrics: Mapping[str, Any]) -> str:
    rules = {rule.name: rule.description for rule in dataset.rules}
    lines = [
        f"- {rules.get(name, name.replace('_', ' '))}: {_count(counts)}"
        for name, counts in (metrics.get("cleaning") or {}).items()
        if counts.get("dropped") or counts.get("mended")
    ]
    return "### Cleaning\n\n" + "\n".join(lines) if lines else ""


def _count(counts: Mapping[str, int]) -> str:
    words = [f"{counts[word]:,} {word}" for word in ("dropped", "mended") if counts.get(word)]
    return ", ".join(words)


def _limits(dataset: Dataset, manifest: Manifest) -> str:
    required = [f"`{column.name}`" for column in manifest.schema.inputs if column.required]
    needs = f" {', '.join(required)} must be given; any other column may be null." if required else ""
    return (
        "### Limits\n\n"
        f"It knows {dataset.title.lower()} up to {manifest.data_day} and no later market. Values it has never seen are "
        f"priced as unknown ones, less exactly.{needs} A price is an estimate, not an offer."
    )


def _call(schema: Schema, serving_url: str) -> str:
    row = {column.name: column.example for column in schema.inputs}
    # A quote inside the shell's quotes would end them.
    body = json.dumps({"rows": [row]}, ensure_ascii=False).replace("'", "\\u0027")
    return (
        "### Ask it\n\n```\n"
        f"curl -s {serving_url.rstrip('/')}/v1/predict -H 'Content-Type: application/json' -d '{body}'\n```"
    )
