"""The steps with settings and plain references: what the DAG and ``pipeline.run`` call, one function a step.

Every function takes and gives JSON-able values and adds a one-line ``message`` for people. The steps' own
modules are imported inside, so that Airflow parses the DAG without pandas, scikit-learn or MLflow.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import datasets
from pipeline.errors import SettingsInvalid

if TYPE_CHECKING:
    from pipeline.asked_change import Asked
    from pipeline.replicas import Replicas
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
    from pipeline.registry import open_registry
    from pipeline.version_record import RunContext

    dataset, store = datasets.load(settings.dataset), _store(settings)
    registered = register(dataset, store, open_registry(settings), _ref(bundle), _ref(trained), RunContext(**run))
    return _answer(registered)


def gate(settings: Settings, bundle: Json, trained: Json, version: int, force_reason: str = "") -> Json:
    """The answer is a reference to the release's files, and says whether they may go live (``passed``)."""
    from pipeline.gate import Terms, gate
    from pipeline.registry import open_registry
    from pipeline.signing import read_key

    return _answer(
        gate(
            datasets.load(settings.dataset),
            _store(settings),
            open_registry(settings),
            _ref(bundle),
            _ref(trained),
            version,
            Terms(settings.gate_mode, settings.gate_margin, force_reason, datetime.now(UTC)),
            read_key(Path(settings.signing_key) if settings.signing_key else None),
            _servers(settings),
        )
    )


def deploy(settings: Settings, bundle: Json, version: int, run: Json) -> Json:
    """``run`` says who asks, as in ``register``; it goes into the ledger."""
    from pipeline.contract.ledger import Actor
    from pipeline.deploy import deploy
    from pipeline.releases.rollout import open_target

    who = Actor("dag" if run["dag_id"] else "automatic", run["run_key"], run["url"])
    why = run["reason"] or f"a new version that may go live ({run['trigger']})"
    return _answer(deploy(open_target(settings), _ref(bundle), version, who, why))


def prune(settings: Settings) -> Json:
    """Takes old work away; no other run of the dataset may be under way."""
    from pipeline.prune import prune

    return _answer(prune(datasets.load(settings.dataset), _store(settings), settings.keep_days, datetime.now(UTC)))


def change(settings: Settings, asked: Json, who: Json) -> Json:
    """``asked`` has the fields of the form of the DAG ``car_price_release``, ``who`` those of ``ledger.Actor``."""
    from pipeline.asked_change import carry_out
    from pipeline.contract.ledger import Actor
    from pipeline.releases.rollout import open_target

    return _answer(carry_out(open_target(settings), _asked(asked), Actor(**who), datetime.now(UTC)))


def conclude(settings: Settings, asked: Json, bake: Json, verdict: Json | None, who: Json) -> Json:
    """``bake`` is what ``change`` gave to be watched, ``verdict`` what came of it, None when nobody watched."""
    from pipeline.asked_change import Bake, conclude
    from pipeline.bake import Verdict
    from pipeline.contract.ledger import Actor
    from pipeline.releases.rollout import open_target

    told = Verdict(**verdict) if verdict else None
    return _answer(conclude(open_target(settings), _asked(asked), Bake(**bake), told, Actor(**who)))


def follow_alias(settings: Settings, url: str) -> Json:
    """``url`` is where the run that follows is to be seen."""
    from pipeline.alias import follow_alias
    from pipeline.releases.rollout import open_target

    return _answer(follow_alias(open_target(settings), url))


def note_approval(settings: Settings, version: int, approved: bool, name: str, reason: str) -> Json:
    """Keep with the version who let it go live, or would not, and why; ``name`` is empty when nobody answered."""
    from pipeline.registry import open_registry

    word = "approved" if approved else "refused"
    tags = {"approval": word, "approval_by": name or "nobody answered in time", "approval_reason": reason}
    given = {key: value[:500] for key, value in tags.items() if value}
    open_registry(settings).tag_version(datasets.load(settings.dataset).model_name, version, given)
    return {**given, "message": f"version {version} was {word} by {name or 'nobody: no answer in time'}"}


def _asked(form: Json) -> Asked:
    from pipeline.asked_change import Asked

    limits = {name: form[name] for name in ("max_error_rate", "max_latency_ratio", "max_answer_drift")}
    return Asked(
        action=form["action"],
        reason=form["reason"],
        version=form["version"],
        share=float(form["share"]),
        bake=timedelta(minutes=form["bake_minutes"]),
        limits={**limits, "least_requests": form["least_requests"]},
        promote_after=form["then"] == "promote",
    )


def _answer(result: Any) -> Json:
    """A step's frozen result as JSON-able fields, with its message."""
    return {**asdict(result), "message": result.message}


def _servers(settings: Settings) -> Replicas | None:
    """Those that are to serve a model; None when no address is set."""
    from pipeline.replicas import Replicas

    if not settings.serving_urls:
        return None
    return Replicas(settings.serving_urls, settings.push_token.get_secret_value(), lambda: True)


def _store(settings: Settings) -> Store:
    from pipeline.store import open_store

    return open_store(settings.store)


def _ref(reference: Json) -> Ref:
    from pipeline.workspace import Ref

    return Ref(reference["prefix"], reference["digest"])


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SettingsInvalid(f"{text!r} is not a day; write it as 2015-06-01") from error
