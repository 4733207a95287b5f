"""How two releases differ: metrics, schema, settings, lineage, each value that is not the same.

Not here: whether a difference is good or bad (the gate's certificate says so).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.contract.bundle import Bundle

SETTINGS = ("dataset", "source", "seed", "with_baseline")  # of the lineage; the rest is data and code
PARTS = ("metrics", "schema", "settings", "lineage")


@dataclass(frozen=True, slots=True)
class Difference:
    """A value by its dotted name; None on the side that has none."""

    part: str
    name: str
    before: Any
    after: Any


def differences(before: Bundle, after: Bundle) -> list[Difference]:
    """Sorted by part and name; nothing when both were made alike."""
    sides = [{part: dict(_flat(document)) for part, document in _parts(bundle).items()} for bundle in (before, after)]
    return [
        Difference(part, name, sides[0][part].get(name), sides[1][part].get(name))
        for part in PARTS
        for name in sorted(sides[0][part].keys() | sides[1][part].keys())
        if sides[0][part].get(name) != sides[1][part].get(name)
    ]


def _parts(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    lineage = {"data_day": manifest.data_day, "fingerprint": manifest.fingerprint, **manifest.lineage}
    return {
        "metrics": manifest.metrics,
        "schema": manifest.schema.to_dict(),
        "settings": {name: value for name, value in lineage.items() if name in SETTINGS},
        "lineage": {name: value for name, value in lineage.items() if name not in SETTINGS},
    }


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves by dotted name. A list of named things (columns, days) is told by their names, not by place."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str) and all(map(_label, value)) and value:
        for inner in value:
            yield from _flat(_rest(inner), f"{name}.{_label(inner)}")
    else:
        yield name, value


def _label(value: Any) -> str:
    """The name of a column ({"name": ...}) or of a day (["2015-06-01", ...]); empty when it has none."""
    if isinstance(value, Mapping):
        return str(value.get("name", ""))
    named = isinstance(value, Sequence) and not isinstance(value, str) and value and isinstance(value[0], str)
    return str(value[0]) if named else ""


def _rest(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: inner for key, inner in value.items() if key != "name"}
    return " ".join(map(str, value[1:]))
