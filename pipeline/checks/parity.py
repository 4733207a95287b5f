"""Does the graph answer as the fitted model does? Not here: the comparison itself (``pipeline/parity.py``)."""

from __future__ import annotations

from pipeline.contract.bundle import Bundle
from pipeline.contract.certificate import Check

GROUP = "parity"
LIMIT = 1e-6


def parity(candidate: Bundle) -> Check:
    """The record that the export step has left in the bundle."""
    found = candidate.manifest.metrics.get("parity") or {}
    rows, figure = found.get("rows", 0), found.get("max_relative_difference")
    if not rows or figure is None:
        return Check(GROUP, "parity", None, LIMIT, False, "the bundle has no record of ONNX against sklearn")
    text = f"ONNX differs from sklearn by {figure:.1e} at most on {rows:,} rows (limit {LIMIT:.0e})"
    return Check(GROUP, "parity", figure, LIMIT, bool(figure <= LIMIT), text)
