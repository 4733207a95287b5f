"""The ledger as it lies in a release store: its entries and questions about them.

Not here: the format (``pipeline/contract/ledger.py``) or the writing (``change.py``).
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.contract import ledger
from pipeline.contract.channel import Release
from pipeline.contract.ledger import Entry, EntryInvalid, Recorded
from pipeline.errors import ModelRefused
from pipeline.store import KeyNotFound, Store


def read_entry(store: Store, model: str, generation: int) -> Recorded | None:
    """The entry that made ``generation``; None when there is none.

    Raises:
        ModelRefused: there is something else in its place.
    """
    key = ledger.entry_key(model, generation)
    try:
        return ledger.read(store.read(key).data)
    except KeyNotFound:
        return None
    except EntryInvalid as error:
        raise ModelRefused(f"{store.uri}/{key}: {error}; put it back from a copy of the store") from error


def last_generation(store: Store, model: str) -> int:
    """Of the newest entry; 0 when there is none."""
    keys = list(store.keys(ledger.ledger_prefix(model)))
    numbers = [key.rpartition("/")[2].removesuffix(".json") for key in keys]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def read_entries(store: Store, model: str) -> list[Recorded]:
    """All entries, the oldest first. Raises ``ModelRefused`` as ``read_entry`` does."""
    numbers = [key.rpartition("/")[2].removesuffix(".json") for key in store.keys(ledger.ledger_prefix(model))]
    found = (read_entry(store, model, int(number)) for number in numbers if number.isdecimal())
    return [recorded for recorded in found if recorded is not None]


def backwards(store: Store, model: str, generation: int) -> Iterator[Entry]:
    """The entries from ``generation`` back to the first, read one by one."""
    while generation > 0 and (recorded := read_entry(store, model, generation)):
        yield recorded.entry
        generation -= 1


def champions_before(store: Store, model: str, generation: int) -> Iterator[Release]:
    """Those who were champion before the one of ``generation``, the last one first; not who was only tried in vain."""
    for entry in backwards(store, model, generation):
        if entry.action != "undo" and entry.before.champion and entry.before.champion != entry.after.champion:
            yield entry.before.champion


def quarantined_by(store: Store, model: str, generation: int, version: int) -> Entry | None:
    """The entry that put a version into quarantine, where the ledger goes back that far."""
    for entry in backwards(store, model, generation):
        if version in entry.after.quarantined and version not in entry.before.quarantined:
            return entry
    return None
