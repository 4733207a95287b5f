"""Does the gate refuse good models? Days one after another from the very first, for many seeds of the simulated source.

``python -m benchmarks.gate_seeds --seeds 20 --days 10``: each seed is another market and another model. Nothing is
registered or served; each version that passes is the champion of the next day. Small trees, unless ``--full``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pipeline import datasets, steps
from pipeline.contract import bundle as bundles
from pipeline.contract import certificate as certificates
from pipeline.contract import channel as channels
from pipeline.contract.certificate import Certificate
from pipeline.contract.channel import Release
from pipeline.gate import Terms, gate
from pipeline.releases import read_channel
from pipeline.settings import Settings
from pipeline.store import Store, open_store
from pipeline.workspace import Ref, read_file
from tests.pipeline.noted_registry import NotedRegistry
from tests.pipeline.small_window import small_models


@dataclass(frozen=True, slots=True)
class Judged:
    """One version: ``worse`` is its held-out error beside the champion's, ``allowed`` what the gate lets pass."""

    seed: int
    day: str
    rows: int
    verdict: str
    worse: float | None
    allowed: float | None
    coverage: float | None
    refused: tuple[str, ...]
    warned: tuple[str, ...]


def judge_days(settings: Settings, first: date, days: int, *, grow: bool) -> Iterator[Judged]:
    store, version = open_store(settings.store), 0
    for count in range(1, days + 1):
        day = first + timedelta(days=count - 1)
        window = max(3, count) if grow else settings.window_days
        chosen = settings.model_copy(update={"window_days": window})
        fetched = steps.fetch(chosen, day.isoformat(), (first + timedelta(days=days)).isoformat())
        prepared = steps.preprocess(chosen, fetched["window"]) if fetched["window"] else {"prefix": ""}
        if not prepared["prefix"]:
            continue
        version += 1
        yield _judged(chosen, store, day, version, steps.train(chosen, prepared))


def _judged(settings: Settings, store: Store, day: date, version: int, trained: dict[str, Any]) -> Judged:
    bundle = steps.export(settings, trained)
    terms = Terms("enforce", settings.gate_margin, "", datetime.now(UTC))
    refs = [Ref(each["prefix"], each["digest"]) for each in (bundle, trained)]
    registry = NotedRegistry()
    verdict = gate(datasets.load(settings.dataset), store, registry, *refs, version, terms)
    certificate = certificates.read(registry.files[version]["certificate/certificate.json"])
    if verdict.passed:
        released = Ref(verdict.prefix, verdict.digest)
        files = {name: read_file(store, released, name) for name in bundles.RELEASE_FILES}
        _make_live(store, certificate.model, version, files)
    return _figures(settings.seed, day, certificate)


def _make_live(store: Store, model: str, version: int, files: dict[str, bytes]) -> None:
    release = bundles.read(files)
    store.publish(channels.release_prefix(model, version), files, last=bundles.MANIFEST)
    seen = read_channel(store, model)
    after = seen.channel.with_champion(Release(version, release.digest, release.manifest.data_day))
    store.replace(channels.channel_key(model), after.to_bytes(), seen.etag)


def _figures(seed: int, day: date, certificate: Certificate) -> Judged:
    found = {check.name: check for check in certificate.checks}
    champion, rows = found["champion"], found["rows of the window"]
    theirs = float(champion.text.split(" against ")[1].split()[0].replace(",", "")) if champion.figure else None
    return Judged(
        seed,
        day.isoformat(),
        int(rows.figure or 0),
        certificate.verdict,
        champion.figure / theirs if champion.figure and theirs else None,
        champion.limit / theirs if champion.limit and theirs else None,
        found["coverage"].figure,
        tuple(check.text for check in certificate.checks if not check.passed),
        tuple(check.text for check in certificate.checks if check.warned),
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gate_seeds", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--days", type=int, default=10, help="calendar days, beginning with the first that has rows")
    parser.add_argument("--source", default="simulated:")
    parser.add_argument("--first", type=date.fromisoformat, default=date(2015, 1, 5))
    parser.add_argument("--window", type=int, default=0, help="days of the window; 0: it grows from the first day on")
    parser.add_argument("--full", action="store_true", help="the models as they are trained every day, not small ones")
    options = parser.parse_args(arguments)
    found: list[Judged] = []
    for seed in range(1, options.seeds + 1):
        with tempfile.TemporaryDirectory() as folder, contextlib.nullcontext() if options.full else small_models():
            settings = Settings(
                source=options.source,
                store=f"file:{folder}",
                seed=seed,
                serving_urls=(),
                window_days=options.window or 3,
            )
            for each in judge_days(settings, options.first, options.days, grow=not options.window):
                sys.stderr.write(json.dumps(asdict(each)) + "\n")
                found.append(each)
    refused = [each for each in found if not each.verdict.startswith("passed")]
    worse = [each.worse for each in found if each.worse is not None]
    figures = {
        "seeds": options.seeds,
        "judged": len(found),
        "refused": len(refused),
        "warned": sum(bool(each.warned) for each in found),
        "compared with a champion": len(worse),
        "largest error beside the champion's": max(worse, default=None),
        "least coverage": min((each.coverage for each in found if each.coverage is not None), default=None),
        "most coverage": max((each.coverage for each in found if each.coverage is not None), default=None),
    }
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    return 1 if refused else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
