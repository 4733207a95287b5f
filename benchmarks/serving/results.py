"""Figures with the machine, versions and model they were measured with, as a file and as tables for people."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.serving.material import FACTS, Material
from benchmarks.serving.ours import REPOSITORY

FILE = Path(__file__).with_name("results.json")
TOLD = ("fastapi", "mlflow", "mlserver", "mlserver-mlflow", "bentoml", "ray", "uvicorn", "onnxruntime")

Figures = dict[str, Any]


def spread(values: Sequence[float]) -> Figures:
    """The median with the least and the greatest beside it."""
    if not values:
        return {"median": 0.0, "least": 0.0, "most": 0.0}
    rounded = [round(value, 3 if value < 100 else 1) for value in values]
    return {"median": round(statistics.median(rounded), 3), "least": min(rounded), "most": max(rounded)}


def machine() -> Figures:
    cpus = re.findall(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpus[0] if cpus else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def versions() -> Figures:
    """What each lock pins of the names worth telling, and the peers' own."""
    found: Figures = {"gavel": {name: version(name) for name in ("uvicorn", "onnxruntime", "numpy")}}
    for lock in ("main", *(f"bench-{name}" for name in ("fastapi", "mlserver", "bentoml", "ray"))):
        text = (REPOSITORY / "requirements" / f"{lock}.lock").read_text()
        pinned = dict(re.findall(r"^([\w-]+)==([\w.]+)", text, re.MULTILINE)[::-1])
        found[lock] = {name: pinned[name] for name in TOLD if name in pinned}
    return found


def model(material: Material) -> Figures:
    facts = json.loads((material.folder / FACTS).read_bytes())
    told = facts["source"] if facts["source"] == "simulated:" else facts["source"].partition(":")[0]
    sizes = {"model_mb": round(len(material.bundle.model) / 1e6, 2), "columns": len(material.schema.inputs)}
    return {**facts, "source": told, **sizes, "different_rows": len(material.rows)}


class Results:
    """The results file. Each part is one run; measuring a part again replaces that part alone.

    A part of another machine or model is dropped: what stands in the file can be compared.
    """

    def __init__(self, material: Material, file: Path = FILE) -> None:
        self._file = file
        about = {"machine": machine(), "versions": versions(), "model": model(material)}
        before = json.loads(file.read_bytes()) if file.exists() else {}
        same = all(before.get(name) == about[name] for name in about)
        self._document = {**about, "parts": before["parts"] if same else {}}

    def add(self, name: str, figures: Figures, load_before: float) -> None:
        """One part's figures; ``load_before`` is the machine's load average when it began: a quiet one has about 0."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._document["parts"][name] = {"measured": now, "load_before": round(load_before, 2), **figures}
        self._file.write_text(json.dumps(self._document, indent=1, ensure_ascii=False) + "\n")

    def tables(self) -> str:
        """Markdown."""
        parts, about = self._document["parts"], self._document
        box, served = about["machine"], about["model"]
        size = f"{served['trees']} trees, {served['columns']} columns, {served['model_mb']} MB"
        lines = [f"{box['cpu']}, {box['cores']} cores; a model of {size}", ""]
        if "one_row" in parts:
            lines += _one_row(parts["one_row"])
        if "many_rows" in parts:
            lines += _many_rows(parts["many_rows"])
        for name, part in parts.items():
            if name not in ("one_row", "many_rows"):
                lines += [f"**{name}**", "", *_flat("", part), ""]
        return "\n".join(lines)


def _one_row(part: Figures) -> list[str]:
    head = f"| one row, {part['connections']} connections | requests/s | p50 ms | p99 ms | not 2xx | Gavel is times |"
    lines = [head, "|---|---|---|---|---|---|"]
    for name, seen in part["servers"].items():
        cells = [_told(seen[key]) for key in ("requests_per_s", "p50_ms", "p99_ms")]
        times = part["gavel_is_times"][name]
        lines.append(f"| {name} | {' | '.join(cells)} | {seen['not_2xx'] + seen['broken']} | {times:,} |")
    lines.append(f"| onnxruntime in process | {_told(part['onnxruntime_in_process_runs_per_s'])} | | | | |")
    return [*lines, "", *_left_out(part)]


def _many_rows(part: Figures) -> list[str]:
    head = f"| {part['rows_a_request']:,} rows a request, {part['connections']} connections | rows/s | of in process |"
    lines = [f"{head} p99 ms | not 2xx |", "|---|---|---|---|---|"]
    for name, seen in part["servers"].items():
        cells = [_told(seen["rows_per_s"]), f"{seen['share_of_in_process']:.1%}", _told(seen["p99_ms"])]
        lines.append(f"| {name} | {' | '.join(cells)} | {seen['not_2xx'] + seen['broken']} |")
    lines.append(f"| onnxruntime in process | {_told(part['onnxruntime_in_process_rows_per_s'])} | 100.0% | | |")
    return [*lines, "", *_left_out(part)]


def _left_out(part: Figures) -> list[str]:
    return [f"- {name} was left out: {reason}" for name, reason in part["left_out"].items()] + [""]


def _flat(prefix: str, figures: Figures) -> list[str]:
    lines = []
    for name, value in figures.items():
        if isinstance(value, dict) and "median" not in value:
            lines += _flat(f"{prefix}{name}, ", value)
        else:
            lines.append(f"- {prefix}{name}: {_told(value) if isinstance(value, dict) else value}")
    return lines


def _told(value: Figures) -> str:
    return f"{_number(value['median'])} ({_number(value['least'])} to {_number(value['most'])})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
