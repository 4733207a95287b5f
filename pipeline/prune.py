"""Takes away the work of runs that are long over; a run that needs some of it makes it again.

What was sold and what was live is never touched: partitions, releases, channels, ledger, pairs.
Not here: when (``dags/``).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.contract.bundle import MANIFEST
from pipeline.datasets.declaration import Dataset
from pipeline.store import Listed, Store
from pipeline.workspace import INDEX


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many folders went, how many bytes they held, and how many stay."""

    folders: int
    size: int
    kept: int
    keep_days: int

    @property
    def message(self) -> str:
        if not self.keep_days:
            return "nothing is removed: GAVEL_KEEP_DAYS is 0"
        went = f"removed {self.folders} folders older than {self.keep_days} days, {self.size / 1e6:,.1f} MB"
        return f"{went if self.folders else f'nothing is older than {self.keep_days} days'}; kept {self.kept}"


def prune(dataset: Dataset, store: Store, keep_days: int, now: datetime) -> Pruned:
    """Remove the work folders of one dataset in which nothing was written for ``keep_days``; 0 keeps all.

    No run of the dataset may be under way but the one that asks: it could be about to read what goes.

    Raises:
        StoreUnavailable: try again; what is gone is gone whole.
    """
    if not keep_days:
        return Pruned(0, 0, 0, keep_days)
    folders = _work(dataset, store)
    written = {prefix: max(each.written for each in found) for prefix, found in folders.items()}
    old = sorted(prefix for prefix in folders if written[prefix] < now - timedelta(days=keep_days))
    for prefix in old:
        store.remove(prefix, last=MANIFEST if prefix.startswith("candidates/") else INDEX)
    size = sum(each.size for prefix in old for each in folders[prefix])
    return Pruned(len(old), size, len(folders) - len(old), keep_days)


def _work(dataset: Dataset, store: Store) -> dict[str, list[Listed]]:
    """The objects of each work folder, whole or half."""
    name, model = dataset.name, dataset.model_name
    places = [f"{step}/{name}/" for step in ("windows", "prepared", "trained", "bundles")]
    found: dict[str, list[Listed]] = defaultdict(list)
    for place in (*places, f"certified/{model}/", f"candidates/{model}/"):
        for each in store.listed(place):
            found[place + each.key.removeprefix(place).partition("/")[0]].append(each)
    return found
