"""What ``GET /v1/model`` answers: which release each worker of a replica holds, and why not the one it should."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

BESIDE = ("challenger", "shadow")
REFUSALS = ("refusal", "challenger_refusal", "shadow_refusal")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A release that a worker would not load, and why."""

    version: int
    digest: str
    reason: str


@dataclass(frozen=True, slots=True)
class Status:
    """The state of one serving worker.

    ``version`` and ``digest`` are of the release that answers now (``None`` before the first);
    ``generation`` is the channel generation last followed; ``since`` (ISO time, UTC) is when it went live;
    ``refusal`` is the last release that was wanted and not loaded; ``store_error`` says why the release
    store could not be read at the last look. ``challenger`` and ``shadow`` are the digests of what is loaded in
    these roles, and their refusals tell why what ought to have the role has not.
    """

    model: str
    ready: bool
    version: int | None = None
    digest: str | None = None
    data_day: str | None = None
    generation: int | None = None
    since: str | None = None
    refusal: Refusal | None = None
    store_error: str | None = None
    challenger: str | None = None
    shadow: str | None = None
    challenger_refusal: Refusal | None = None
    shadow_refusal: Refusal | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        return cls(**_members(cls, document))


@dataclass(frozen=True, slots=True)
class WorkerStatus(Status):
    """The state of the worker ``index`` of a replica; ``problem`` says why it is not ready or does not answer."""

    index: int = 0
    pid: int | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ReplicaStatus(Status):
    """The state of a replica: that of the worker that lags behind, and ``ready`` only when every worker is.

    It has the challenger and the shadow that all workers have, and whichever of their refusals there is. The first
    of ``workers`` is the one that was asked.
    """

    workers: tuple[WorkerStatus, ...] = ()

    @classmethod
    def of(cls, workers: Sequence[WorkerStatus]) -> ReplicaStatus:
        answering = [each for each in workers if each.problem is None] or workers
        last = min(answering, key=_progress)
        state = {each.name: getattr(last, each.name) for each in fields(Status)}
        beside = {name: _all(workers, name) for name in BESIDE} | {name: _any(workers, name) for name in REFUSALS[1:]}
        return cls(**{**state, **beside, "ready": all(each.ready for each in workers)}, workers=tuple(workers))

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> ReplicaStatus:
        """A replica that does not speak of its workers is its own only worker."""
        alone = WorkerStatus.from_dict({**document, "index": 0})
        workers = tuple(map(WorkerStatus.from_dict, document.get("workers") or ())) or (alone,)
        return cls(**{**_members(Status, document), "workers": workers})

    def serves(self, digest: str) -> bool:
        """Does every worker answer with the release of this digest?"""
        return self.ready and all(each.ready and each.digest == digest for each in (self, *self.workers))

    def holds(self, role: Literal["challenger", "shadow"], digest: str | None) -> bool:
        """Has every worker the release of this digest in this role? With None: has none of them any?"""
        return all(each.problem is None and getattr(each, role) == digest for each in self.workers)


def _members(cls: type[Status], document: Mapping[str, Any]) -> dict[str, Any]:
    known = {each.name: document.get(each.name) for each in fields(cls)}
    refusals = {name: document.get(name) for name in REFUSALS}
    return {**known, **{name: Refusal(**found) if found else None for name, found in refusals.items()}}


def _all(workers: Sequence[WorkerStatus], name: str) -> Any:
    """What all of them have; None when they differ."""
    found = {getattr(each, name) for each in workers}
    return found.pop() if len(found) == 1 else None


def _any(workers: Sequence[WorkerStatus], name: str) -> Any:
    """What the first one has that has any."""
    return next((getattr(each, name) for each in workers if getattr(each, name) is not None), None)


def _progress(worker: WorkerStatus) -> tuple[bool, int, bool, bool]:
    """Smallest for who lags: no release, an older generation of the channel, a refusal, no view of the store."""
    return worker.ready, worker.generation or 0, worker.refusal is None, worker.store_error is None
