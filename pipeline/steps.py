"""The steps with settings and plain references: what the DAG and ``pipeline.run`` call, one function a step.

Every function takes and gives JSON-able values and adds a one-line ``message`` for people. The steps' own
modules are imported inside, so that Airflow parses the DAG without pandas, scikit-learn or MLflow.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

from pipeline import datasets
from pipeline.errors import SettingsInvalid

if TYPE_CHECKING:
    from pipeline.registry import Registry
    from pipeline.settings import Settings
    from pipeline.store import Store
    from pipeline.workspace import Ref

Json = dict[str, Any]


def fetch(settings: Settings, day: str, today: str) -> Json:
    """Fetch ``day`` and the days of its window that are missing. ``today`` bounds what a source may have."""
    from pipeline.fetch import fetch
    from pipeline.sources import open_source

    dataset = datasets.load(settings.dataset)
    source = open_source(settings.source, dataset, seed=settings.seed, today=_day(today))
    fetched = fetch(dataset, source, _store(settings), _day(day), settings.window_days)
    return {**asdict(fetched), "message": f"{fetched.message}; source: {source.description}"}


def score(settings: Settings, partition: Json) -> Json:
    """How the release that is live did on the rows of a partition, which must be newer than it."""
    from pipeline.partitions import Partition
    from pipeline.score import score

    return asdict(score(datasets.load(settings.dataset), _store(settings), Partition(**partition)))


def preprocess(settings: Settings, window: Json) -> Json:
    from pipeline.preprocess import Options, preprocess

    source = settings.source.partition(":")[0]
    options = Options(with_baseline=settings.with_baseline, seed=settings.seed, source=source)
    return _answer(preprocess(datasets.load(settings.dataset), _store(settings), _ref(window), options))


def train(settings: Settings, prepared: Json) -> Json:
    from pipeline.train import train

    return _answer(train(datasets.load(settings.dataset), _store(settings), _ref(prepared)))


def export(settings: Settings, trained: Json) -> Json:
    from pipeline.export import export

    return _answer(export(datasets.load(settings.dataset), _store(settings), _ref(trained)))


def register(settings: Settings, bundle: Json, trained: Json, run: Json) -> Json:
    """``run`` says who asks: the fields of ``register.RunContext``."""
    from pipeline.register import register
    from pipeline.version_record import RunContext

    dataset, store = datasets.load(settings.dataset), _store(settings)
    registered = register(dataset, store, _registry(settings), _ref(bundle), _ref(trained), RunContext(**run))
    return _answer(registered)


def gate(settings: Settings, bundle: Json, trained: Json, version: int, force_reason: str = "") -> Json:
    from pipeline.gate import gate

    return _answer(
        gate(
            _store(settings),
            _registry(settings),
            _ref(bundle),
            _ref(trained),
            version,
            settings.gate_margin,
            force_reason,
        )
    )


def deploy(settings: Settings, bundle: Json, version: int) -> Json:
    from pipeline.deploy import deploy

    return _answer(
        deploy(
            _store(settings),
            _registry(settings),
            _ref(bundle),
            version,
            settings.serving_urls,
            settings.push_token.get_secret_value(),
            settings.deploy_timeout,
        )
    )


def _answer(result: Any) -> Json:
    """A step's frozen result as JSON-able fields, with its message."""
    return {**asdict(result), "message": result.message}


def _store(settings: Settings) -> Store:
    from pipeline.store import open_store

    return open_store(settings.store)


def _registry(settings: Settings) -> Registry:
    from pipeline.registry import Registry

    return Registry(settings.mlflow_uri, public_url=settings.mlflow_pages or None)


def _ref(reference: Json) -> Ref:
    from pipeline.workspace import Ref

    return Ref(reference["prefix"], reference["digest"])


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SettingsInvalid(f"{text!r} is not a day; write it as 2015-06-01") from error
