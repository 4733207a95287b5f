"""All checks on one candidate, one after another, with what they need read once.

Not here: a check itself (the other files), or what comes of it (``pipeline/gate.py``).
"""

from __future__ import annotations

import io
import json

import pandas as pd

from pipeline.checks import cost, data, quality, server
from pipeline.checks.case import Case, Champion, duel
from pipeline.checks.drift import drift
from pipeline.checks.leakage import leakage
from pipeline.checks.parity import parity
from pipeline.checks.server import Prover
from pipeline.checks.slices import slices
from pipeline.contract.bundle import Bundle, BundleInvalid
from pipeline.contract.certificate import Check, Mode
from pipeline.datasets.declaration import Dataset
from pipeline.errors import ModelRefused
from pipeline.releases import live_release, read_release
from pipeline.scoring import Scorer
from pipeline.store import KeyNotFound, Store
from pipeline.workspace import Ref, read_file


def judge(
    dataset: Dataset,
    store: Store,
    candidate: Bundle,
    trained: Ref,
    version: int,
    mode: Mode,
    margin: float,
    prover: Prover | None = None,
) -> tuple[tuple[Check, ...], Champion | None]:
    """All checks of a candidate, in the order of the certificate, and the champion that it was held against.

    ``margin`` is how much worse than the champion it may be, as a fraction.

    Raises:
        ModelRefused: the candidate cannot answer at all, or the channel cannot be read.
        DeployFailed: a server could not try it now; try again.
    """
    if mode == "off":
        return (parity(candidate),), None
    case = _case(dataset, store, candidate, trained)
    pair = duel(case)
    checks = (
        *data.volume(case),
        data.schema(case),
        *drift(case),
        *leakage(case, pair),
        quality.baseline(case),
        quality.champion(pair, margin, case.unit),
        slices(case, pair, margin),
        *quality.floor(case),
        quality.coverage(case),
        parity(candidate),
        cost.size(case),
        cost.latency(case),
        server.answers(store, prover, candidate, version),
    )
    return checks, case.champion


def _case(dataset: Dataset, store: Store, candidate: Bundle, trained: Ref) -> Case:
    test = pd.read_parquet(io.BytesIO(read_file(store, trained, "predictions.parquet")))
    try:
        answers = Scorer(candidate.model, candidate.manifest.schema).predict(test)
    except Exception as error:  # onnxruntime's errors share no base class
        raise ModelRefused(f"onnxruntime cannot answer the test rows with the model: {error}") from error
    champion, without = _champion(store, candidate.manifest.model_name)
    return Case(
        candidate=candidate,
        target=dataset.target.name,
        rows=pd.read_parquet(io.BytesIO(read_file(store, trained, "rows.parquet"))),
        test=test,
        metrics=json.loads(read_file(store, trained, "metrics.json")),
        answers=answers,
        champion=champion,
        without_champion=without,
    )


def _champion(store: Store, model: str) -> tuple[Champion | None, str]:
    live = live_release(store, model)
    if live is None:
        return None, "there is no champion yet"
    try:
        return Champion(live, read_release(store, model, live.version, live.digest)), ""
    except (KeyNotFound, BundleInvalid) as error:
        return None, f"the champion's release {live.version} cannot be read ({error})"
