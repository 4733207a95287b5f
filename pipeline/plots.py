"""The pictures of a version: predicted against actual, residuals, error by slice, interval, importance. PNG bytes.

Not here: the figures they show (``pipeline/metrics.py``), where they go (``pipeline/register.py``).
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from pipeline.metrics import ACTUAL, BASELINE, HIGH, LOW, PRICE
from pipeline.model_card import band_text

Floats = npt.NDArray[np.float64]

BLUE, ORANGE, GREY, LINE = "#1f5fa8", "#d9822b", "#9aa5b1", "#33383d"
BARS, BANDS = 12, 10
NOMINAL = 0.8
SIZE, DPI = (8.0, 5.2), 110


def draw(
    predictions: pd.DataFrame, metrics: Mapping[str, Any], importance: Mapping[str, float], unit: str
) -> dict[str, bytes]:
    """PNG files by name. ``predictions`` are the test rows; prices and importances are in ``unit``."""
    paint: dict[str, Callable[[Any], None]] = {
        "predicted_against_actual": lambda axes: _against(axes, predictions, unit),
        "residuals": lambda axes: _residuals(axes, predictions, unit),
        "interval_calibration": lambda axes: _calibration(axes, predictions, unit),
        "permutation_importance": lambda axes: _importance(axes, importance, unit),
    }
    for name, values in metrics.get("slices", {}).items():
        if values:
            paint[f"error_by_{name}"] = functools.partial(_slice, name=name, values=values, unit=unit)
    return {name: _figure(draw_on) for name, draw_on in paint.items()}


def _figure(paint: Callable[[Any], None]) -> bytes:
    """One picture. Without pyplot: that keeps every figure alive and wants a display."""
    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e6e9ec", linewidth=0.8)
    axes.set_axisbelow(True)
    paint(axes)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def _thousands(value: float, _: int = 0) -> str:
    return f"{value:,.0f}"


def _prices(rows: pd.DataFrame, *names: str) -> tuple[Floats, ...]:
    return tuple(rows[name].to_numpy(np.float64) for name in names)


def _against(axes: Any, rows: pd.DataFrame, unit: str) -> None:
    actual, price = _prices(rows, ACTUAL, PRICE)
    top = float(np.quantile(np.concatenate([actual, price]), 0.995)) * 1.05
    shown = (actual <= top) & (price <= top)
    cloud = axes.hexbin(
        actual[shown], price[shown], gridsize=60, mincnt=1, bins="log", cmap="Blues", extent=(0, top) * 2
    )
    axes.plot([0, top], [0, top], color=ORANGE, linewidth=1.4, label="predicted = actual")
    axes.figure.colorbar(cloud, ax=axes, label="sales (logarithmic)")
    axes.set(xlim=(0, top), ylim=(0, top), xlabel=f"actual price, {unit}", ylabel=f"predicted price, {unit}")
    axes.set_title(f"Predicted against actual: {shown.sum():,} of {len(rows):,} test sales")
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.yaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.legend(loc="upper left", frameon=False)


def _residuals(axes: Any, rows: pd.DataFrame, unit: str) -> None:
    actual, price = _prices(rows, ACTUAL, PRICE)
    error = price - actual
    limit = float(np.quantile(np.abs(error), 0.99)) or 1.0
    bins = _round_bins(limit)
    axes.hist(error, bins=bins, color=BLUE, label="this model")
    if rows[BASELINE].notna().any():
        axes.hist(
            (rows[BASELINE] - rows[ACTUAL]).dropna(),
            bins=bins,
            histtype="step",
            color=ORANGE,
            linewidth=1.5,
            label="baseline",
        )
    axes.axvline(0, color=LINE, linewidth=1)
    axes.set(xlim=(-limit, limit), xlabel=f"predicted minus actual, {unit}", ylabel="test sales")
    axes.set_title(f"Residuals: mean error {np.mean(np.abs(error)):,.0f} {unit}, bias {np.mean(error):+,.0f} {unit}")
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.legend(frameon=False)


def _round_bins(limit: float) -> Floats:
    """About 60 bins over ±limit of a round width: prices are round too, and other widths make a comb of them."""
    wanted = 2 * limit / 60
    power = 10 ** np.floor(np.log10(wanted))
    width = power * next(step for step in (1, 2, 5, 10) if power * step >= wanted)
    edge = width * (np.ceil(limit / width) + 0.5)
    return np.asarray(np.arange(-edge, edge + width / 2, width))


def _calibration(axes: Any, rows: pd.DataFrame, unit: str) -> None:
    """Share of actual prices inside the interval, by tenths of the predicted price."""
    actual, price, low, high = _prices(rows, ACTUAL, PRICE, LOW, HIGH)
    order = np.array_split(np.argsort(price, kind="stable"), min(BANDS, len(price)))
    below = np.array([np.mean(actual[band] < low[band]) for band in order])
    above = np.array([np.mean(actual[band] > high[band]) for band in order])
    names = [f"{price[band].mean():,.0f}" for band in order]
    inside = 1 - below - above
    axes.bar(names, inside, color=BLUE, label="inside the interval")
    axes.bar(names, above, bottom=inside, color=ORANGE, label="above it")
    axes.bar(names, below, bottom=inside + above, color=GREY, label="below it")
    axes.axhline(NOMINAL, color=LINE, linewidth=1.4, linestyle="--", label=f"{NOMINAL:.0%} intended")
    axes.set(ylim=(0, 1), xlabel=f"mean predicted price of the tenth, {unit}", ylabel="share of test sales")
    axes.set_title(f"Interval: {np.mean((low <= actual) & (actual <= high)):.1%} of {len(rows):,} actual prices inside")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.figure.legend(ncols=4, loc="outside lower center", frameon=False)


def _importance(axes: Any, importance: Mapping[str, float], unit: str) -> None:
    first = sorted(importance.items(), key=lambda item: item[1])[-BARS:]
    bars = axes.barh([name for name, _ in first], [value for _, value in first], color=BLUE)
    axes.bar_label(bars, fmt=_thousands, padding=3, fontsize=9)
    axes.set(xlabel=f"growth of the mean error when the column is shuffled, {unit}")
    axes.set_title("Permutation importance")
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.margins(x=0.1)


def _slice(axes: Any, name: str, values: Mapping[str, Mapping[str, Any]], unit: str) -> None:
    """Mean error of the values with the most rows, the baseline's beside it."""
    largest = sorted(values, key=lambda label: (-values[label]["rows"], label))[:BARS]
    shown = [label for label in values if label in largest]
    place = np.arange(len(shown))[::-1]
    axes.barh(place + 0.2, [values[label]["mae"] for label in shown], 0.38, color=BLUE, label="this model")
    baseline = [values[label].get("baseline_mae") for label in shown]
    if any(value is not None for value in baseline):
        axes.barh(place - 0.2, [value or 0 for value in baseline], 0.38, color=ORANGE, label="baseline")
        axes.figure.legend(ncols=2, loc="outside lower center", frameon=False)
    axes.set_yticks(place, [f"{band_text(label)}  ({values[label]['rows']:,})" for label in shown])
    axes.set(xlabel=f"mean error, {unit}", ylabel=f"{name} (test sales)")
    axes.set_title(f"Error by {name}" + (f": the {len(shown)} largest" if len(values) > len(shown) else ""))
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.grid(visible=False, axis="y")
