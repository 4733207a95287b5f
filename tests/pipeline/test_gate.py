"""The gate: what it lets pass, what it refuses, that it says why, and the release that comes of it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipeline.contract import bundle as bundles
from pipeline.contract import certificate as certificates
from pipeline.contract import channel as channels
from pipeline.contract.bundle import CERTIFICATE, FILES, MANIFEST, RELEASE_FILES, Bundle, Golden
from pipeline.contract.certificate import Certificate, Check, Mode
from pipeline.contract.channel import Channel, Release
from pipeline.errors import DeployFailed, ModelRefused
from pipeline.gate import Terms, Verdict, gate
from pipeline.signing import key_id, public_key
from pipeline.store import Store, open_store
from pipeline.workspace import Ref, read_file
from serving.seal import check as check_seal
from serving.seal import read_keys
from tests.pipeline.noted_registry import NotedRegistry
from tests.pipeline.tiny_model import DATASET, make_bundle, predictions, put

MODEL = DATASET.model_name
TERMS = Terms("enforce", 0.02, "", datetime(2015, 6, 11, 3, tzinfo=UTC))
KEY = Ed25519PrivateKey.generate()
VERSION = 7


@dataclasses.dataclass
class Server:
    """Notes what it is asked to try, and says what it was told to."""

    says: Exception | None = None
    asked: list[Any] = dataclasses.field(default_factory=list)

    def prove(self, release: Release, golden: Golden, *, candidate: bool = False) -> None:
        self.asked.append((release, len(golden.rows), candidate))
        if self.says:
            raise self.says


@dataclasses.dataclass
class Judged:
    """What came of the gate, and where."""

    verdict: Verdict
    registry: NotedRegistry
    made: Bundle | None
    certificate: Certificate

    @property
    def release(self) -> Bundle:
        assert self.made is not None
        return self.made

    def check(self, name: str) -> Check:
        return next(check for check in self.certificate.checks if check.name == name)

    @property
    def tags(self) -> dict[str, str]:
        return self.registry.tags[VERSION]


def make_live(store: Store, bundle: Bundle, version: int = 1) -> None:
    store.publish(channels.release_prefix(MODEL, version), bundle.files, last=MANIFEST)
    release = Release(version, bundle.digest, bundle.manifest.data_day)
    store.replace(channels.channel_key(MODEL), Channel(MODEL).with_champion(release).to_bytes(), None)


def judge(
    store: Store,
    bundle: Bundle,
    table: pd.DataFrame,
    terms: Terms = TERMS,
    *,
    server: Server | None = None,
    **changes: Any,
) -> Judged:
    folders, registry = put(store, bundle, table), NotedRegistry()
    terms = replace(terms, **changes)
    verdict = gate(DATASET, store, registry, folders.bundle_ref, folders.trained_ref, VERSION, terms, KEY, server)
    release = None
    if verdict.passed:
        ref = Ref(verdict.prefix, verdict.digest)
        release = bundles.read({name: read_file(store, ref, name) for name in RELEASE_FILES})
    return Judged(
        verdict, registry, release, certificates.read(registry.files[VERSION]["certificate/certificate.json"])
    )


def test_a_good_first_version_passes(store: Store) -> None:
    """All checks have a sentence; there is no champion to compare with."""
    found = judge(store, make_bundle(), predictions())
    assert found.verdict.passed
    assert (found.tags["gate"], found.verdict.verdict) == ("passed", "passed")
    assert all(check.text for check in found.certificate.checks)
    assert {check.group for check in found.certificate.checks} == {"data", "quality", "parity", "cost", "server"}
    assert found.check("champion").text == "there is no champion yet"
    assert found.verdict.message.startswith("passed: 18 checks")


def test_a_verdict_is_json(store: Store) -> None:
    """The DAG hands it on, as a reference with a word, a line and two tables."""
    verdict = asdict(judge(store, make_bundle(), predictions()).verdict)
    assert json.loads(json.dumps(verdict)) == verdict
    assert set(verdict) == {"passed", "verdict", "reason", "prefix", "digest", "table", "markdown"}


def test_the_release_has_the_bundle_and_a_signed_certificate(store: Store) -> None:
    """Serving with the public key takes it; its digest covers the certificate."""
    bundle = make_bundle()
    found = judge(store, bundle, predictions())
    release = found.release
    assert {name: release.files[name] for name in ("model.onnx", "golden.json")} == {
        name: bundle.files[name] for name in ("model.onnx", "golden.json")
    }
    assert found.certificate.subject == bundle.digest
    assert (found.certificate.version, found.certificate.made_at) == (VERSION, "2015-06-11T03:00:00+00:00")
    check_seal(Release(VERSION, release.digest, ""), release.files, read_keys(public_key(KEY)))
    assert found.tags["signed_by"] == key_id(public_key(KEY))


def test_no_release_comes_of_a_refused_version(store: Store) -> None:
    """It has a certificate that says so, and nothing that could be published."""
    found = judge(store, make_bundle(1.3), predictions(1.3))
    assert (found.verdict.passed, found.verdict.prefix, found.made) == (False, "", None)
    assert found.tags["signed_by"] == "none"
    assert not list(store.keys("certified/"))


def test_judged_again_it_is_the_same_release(store: Store) -> None:
    """A gate that was killed after it had judged, or two at once, come to one certificate."""
    first = judge(store, make_bundle(), predictions())
    again = judge(store, make_bundle(), predictions(), now=datetime(2016, 1, 1, tzinfo=UTC))
    assert again.verdict == first.verdict
    assert len({key.split("/")[2] for key in store.keys("certified/")}) == 1


def test_a_new_champion_is_another_judgement(store: Store) -> None:
    """What was found without one does not stand."""
    assert judge(store, make_bundle(), predictions()).certificate.champion is None
    make_live(store, make_bundle(1.06, "2015-06-07"))
    assert judge(store, make_bundle(), predictions()).certificate.champion is not None


def test_people_find_the_certificate_in_mlflow(store: Store) -> None:
    """Two artifacts, and the description after the model card."""
    found = judge(store, make_bundle(), predictions())
    assert found.registry.files[VERSION] == {
        "certificate/certificate.json": found.release.files[CERTIFICATE],
        "certificate/certificate.md": found.verdict.markdown.encode(),
    }
    description = found.registry.descriptions[VERSION]
    assert description.startswith("### The model card\n\n### Certificate")
    assert "| passed | parity: parity |" in description


@pytest.mark.parametrize(("parity", "passed"), [(1e-6, True), (1.1e-6, False), (float("1e300"), False)])
def test_parity_is_held_to_its_limit(store: Store, parity: float, passed: bool) -> None:
    """A relative difference of one in a million is the most."""
    found = judge(store, make_bundle(parity=parity), predictions())
    assert found.verdict.passed is passed
    assert found.tags["gate"] == ("passed" if passed else "refused")


def test_no_record_of_parity_is_a_refusal(store: Store) -> None:
    """A bundle that nobody compared does not pass."""
    made = make_bundle()
    manifest = made.manifest
    bundle = bundles.build(
        made.model, made.golden, model_name=MODEL, data_day=manifest.data_day, fingerprint="f", schema=manifest.schema,
        metrics={}, lineage=manifest.lineage,
    )  # fmt: skip
    assert judge(store, bundle, predictions()).verdict.reason == "the bundle has no record of ONNX against sklearn"


def test_worse_than_the_baseline_is_refused_and_said(store: Store) -> None:
    """The reason names both errors; the version is tagged with it."""
    found = judge(store, make_bundle(1.3), predictions(1.3))
    assert not found.verdict.passed
    assert "is not below the baseline's" in found.verdict.reason
    assert (found.tags["gate"], found.tags["gate_reason"]) == ("refused", found.verdict.reason[:1000])


def test_hardly_worse_than_the_baseline_is_told_and_passes(store: Store) -> None:
    """A difference that may be chance refuses nobody, and somebody should look."""
    table = predictions()
    noise = np.random.default_rng(1).normal(0, 300, len(table))
    found = judge(store, make_bundle(), table.assign(baseline=table["price"] + noise * 0.01))
    check = found.check("baseline")
    assert check.passed
    assert check.warned is ("is not surely above" in check.text)


def test_without_the_baseline_the_naive_guess_is_to_beat(store: Store) -> None:
    """A model that was not given the professional estimate is not measured by it."""
    found = judge(store, make_bundle(1.3, with_baseline=False), predictions(1.3))
    check = found.check("reference")
    assert check.passed
    assert check.figure is not None
    assert check.limit is not None
    assert check.figure < check.limit


def test_a_dataset_without_a_baseline_is_measured_by_the_naive_guess(store: Store) -> None:
    """No baseline figures at all."""
    assert judge(store, make_bundle(), predictions().assign(baseline=np.nan)).check("reference").passed


def covering(share: float, rows: int) -> pd.DataFrame:
    """Answers whose interval holds that share of the prices."""
    table = predictions(count=rows)
    inside = np.arange(rows) < round(share * rows)
    actual = table["actual"]
    return table.assign(low=np.where(inside, actual * 0.9, actual * 1.1), high=actual * 1.2)


@pytest.mark.parametrize(("share", "passed"), [(0.64, False), (0.66, True), (0.8, True), (0.92, True), (0.94, False)])
def test_an_interval_that_is_no_80_percent_interval_is_refused(store: Store, share: float, passed: bool) -> None:
    """Too narrow or too wide, by more than chance: with 400 rows that is 4.6 points below 70 % and 3 above 90 %."""
    found = judge(store, make_bundle(), covering(share, 400)).check("coverage")
    assert (found.passed, found.warned) == (passed, passed and not 0.7 <= share <= 0.9)


def test_few_rows_do_not_judge_an_interval(store: Store) -> None:
    """Under 200 rows the share says little."""
    assert judge(store, make_bundle(), covering(0.2, 199)).check("coverage").passed


def test_worse_than_the_champion_is_refused(store: Store) -> None:
    """On the same rows, those that are newer than the champion."""
    make_live(store, make_bundle(1.0, "2015-06-07"))
    found = judge(store, make_bundle(1.1), predictions(1.1))
    assert not found.verdict.passed
    check = found.check("champion")
    assert check.figure is not None
    assert check.limit is not None
    assert check.figure > check.limit
    assert "the same 300 newest rows" in found.tags["gate_reason"]
    assert found.certificate.champion == Release(1, make_bundle(1.0, "2015-06-07").digest, "2015-06-07")


def test_better_than_the_champion_passes(store: Store) -> None:
    """The champion is scored by its own graph on the raw columns."""
    make_live(store, make_bundle(1.06, "2015-06-07"))
    found = judge(store, make_bundle(), predictions())
    assert found.check("champion").passed
    assert found.verdict.passed


def test_a_little_worse_is_within_the_margin(store: Store) -> None:
    """A wide margin lets pass what a narrow one refuses."""
    make_live(store, make_bundle(1.0, "2015-06-07"))
    assert not judge(store, make_bundle(1.08), predictions(1.08), margin=0.02).check("champion").passed
    assert judge(store, make_bundle(1.08), predictions(1.08), margin=0.9).check("champion").passed


def test_noise_is_no_reason_to_refuse(store: Store) -> None:
    """A difference that its own bootstrap interval holds for chance says nothing."""
    make_live(store, make_bundle(1.0, "2015-06-06"))
    table = predictions(1.0)
    noise = np.random.default_rng(5).normal(1, 0.005, len(table))
    assert judge(store, make_bundle(1.001), table.assign(price=table["price"] * noise), margin=0.0).verdict.passed


def test_too_few_newer_rows_are_said(store: Store) -> None:
    """Days that the champion has learned do not count."""
    make_live(store, make_bundle(1.0, "2015-06-10"))
    found = judge(store, make_bundle(1.02), predictions(1.02))
    assert "0 test rows are newer" in found.check("champion").text
    assert found.check("champion").passed


def test_the_same_bundle_is_live_already(store: Store) -> None:
    """A repeated run does not compete with itself."""
    make_live(store, make_bundle(1.0))
    assert "is live already" in judge(store, make_bundle(1.0), predictions()).check("champion").text


def test_a_champion_with_a_column_the_rows_lack_is_not_compared(store: Store) -> None:
    """It says which column."""
    champion = make_bundle(1.0, "2015-06-07")
    schema = champion.manifest.schema
    more = replace(schema, inputs=(*schema.inputs, replace(schema.inputs[0], name="doors")))
    wider = bundles.build(
        champion.model, champion.golden, model_name=MODEL, data_day="2015-06-07", fingerprint="w", schema=more,
        metrics=champion.manifest.metrics, lineage=champion.manifest.lineage,
    )  # fmt: skip
    make_live(store, wider)
    found = judge(store, make_bundle(1.01), predictions(1.01))
    assert "'doors'" in found.check("champion").text
    assert found.check("columns").text.startswith("`doors` is gone")
    assert not found.verdict.passed


def test_a_champion_that_cannot_be_read_is_no_obstacle(store: Store) -> None:
    """A broken champion can only be replaced; the check says so."""
    make_live(store, make_bundle(1.0, "2015-06-07"))
    key = f"{channels.release_prefix(MODEL, 1)}/golden.json"
    store.replace(key, b"{}", store.read(key).etag)
    found = judge(store, make_bundle(1.02), predictions(1.02))
    assert "cannot be read" in found.check("champion").text
    assert found.verdict.passed


def test_a_channel_that_cannot_be_read_stops_the_gate(store: Store) -> None:
    """Nobody knows what is live: a person must look."""
    store.create(channels.channel_key(MODEL), b"{")
    with pytest.raises(ModelRefused, match="channel document cannot be read"):
        judge(store, make_bundle(), predictions())


def test_force_passes_and_keeps_the_reason(store: Store) -> None:
    """The failed checks stay failed; who forced it is said, in the certificate too. It is signed."""
    found = judge(store, make_bundle(1.3), predictions(1.3), force_reason="auction house asked")
    assert found.verdict.passed
    assert found.tags["gate"] == "forced: auction house asked"
    assert "although" in found.verdict.reason
    assert not found.check("baseline").passed
    assert (found.certificate.forced, found.certificate.passed) == ("auction house asked", False)
    assert found.tags["signed_by"] != "none"


def test_force_that_was_not_needed_is_not_noted(store: Store) -> None:
    """A good model has passed, whatever was ticked."""
    found = judge(store, make_bundle(), predictions(), force_reason="just in case")
    assert (found.tags["gate"], found.certificate.forced) == ("passed", "")


def test_dry_run_tells_and_lets_go_on(store: Store) -> None:
    """Certificate, tag, reason and both texts say that it was refused, and that it goes on."""
    found = judge(store, make_bundle(1.3), predictions(1.3), mode="dry-run")
    assert found.verdict.passed
    assert found.tags["gate"] == "refused (dry-run)"
    assert not found.certificate.passed
    for text in (
        found.verdict.message,
        found.verdict.table,
        found.verdict.markdown,
        found.registry.descriptions[VERSION],
    ):
        assert "refused (dry-run)" in text
        assert "only tells" in text


def test_off_looks_at_parity_alone(store: Store) -> None:
    """And the certificate says so; a wrong conversion is out in any mode but in the log."""
    server = Server()
    found = judge(store, make_bundle(1.3), predictions(1.3), mode="off", server=server)
    assert [check.name for check in found.certificate.checks] == ["parity"]
    assert found.tags["gate"] == "passed (off)"
    assert "the gate is off" in found.verdict.table
    assert server.asked == []


def test_the_servers_are_asked_before_anything_is_live(store: Store) -> None:
    """The bundle lies among the candidates, whole, under the digest that they are told."""
    bundle, server = make_bundle(), Server()
    found = judge(store, bundle, predictions(), server=server)
    assert server.asked == [(Release(VERSION, bundle.digest, "2015-06-10"), len(bundle.golden.rows), True)]
    prefix = channels.candidate_prefix(MODEL, VERSION)
    assert bundles.read({name: store.read(f"{prefix}/{name}").data for name in FILES}) == bundle
    assert "as recorded" in found.check("answers").text


def test_what_a_server_refuses_is_refused(store: Store) -> None:
    """In its own words."""
    found = judge(store, make_bundle(), predictions(), server=Server(ModelRefused("http://a: price of golden row 3")))
    assert not found.verdict.passed
    assert found.verdict.reason == "http://a: price of golden row 3"


def test_a_server_that_is_away_is_no_verdict(store: Store) -> None:
    """The gate is tried again; nothing was tagged."""
    with pytest.raises(DeployFailed, match="away"):
        judge(store, make_bundle(), predictions(), server=Server(DeployFailed("away")))


def test_without_an_address_nobody_is_asked(store: Store) -> None:
    """And the certificate says so."""
    assert judge(store, make_bundle(), predictions()).check("answers").text.endswith("so no server was asked")


def test_another_models_candidate_is_not_replaced(store: Store) -> None:
    """Two databases of MLflow share a store: the same number for two models."""
    judge(store, make_bundle(), predictions(), server=Server())
    with pytest.raises(ModelRefused, match="belongs to another MLflow database"):
        judge(store, make_bundle(1.01), predictions(1.01), server=Server())


def test_the_first_published_release_of_a_version_stands(store: Store) -> None:
    """A second gate takes its certificate, whatever it would say today."""
    first = judge(store, make_bundle(), predictions())
    store.publish(channels.release_prefix(MODEL, VERSION), first.release.files, last=MANIFEST)
    again = judge(store, make_bundle(), predictions(1.3), now=datetime(2016, 1, 1, tzinfo=UTC))
    assert again.release == first.release
    assert again.tags == first.tags


@pytest.mark.parametrize("mode", ["enforce", "off"])
def test_a_published_version_keeps_its_folder_whatever_is_live_now(store: Store, mode: Mode) -> None:
    """Asked again, after the channel has moved on, the gate finds it and makes no copy."""
    if mode == "off":
        make_live(store, make_bundle(1.01))
    first = judge(store, make_bundle(), predictions(), mode=mode)
    store.publish(channels.release_prefix(MODEL, VERSION), first.release.files, last=MANIFEST)
    if mode == "enforce":
        make_live(store, make_bundle(1.01))
    before = list(store.keys("certified/"))
    assert judge(store, make_bundle(), predictions(), mode=mode).verdict.prefix == first.verdict.prefix
    assert list(store.keys("certified/")) == before


def test_what_was_published_stands_against_a_judgement_that_was_not(store: Store, tmp_path: Path) -> None:
    """One gate judged here, another in its own store and published; what clients were answered with is the one that counts."""
    judge(store, make_bundle(), predictions())
    elsewhere = open_store(f"file:{tmp_path / 'other'}")
    published = judge(elsewhere, make_bundle(), predictions(), now=datetime(2016, 1, 1, tzinfo=UTC)).release
    store.publish(channels.release_prefix(MODEL, VERSION), published.files, last=MANIFEST)
    assert judge(store, make_bundle(), predictions()).release == published


def test_a_refused_version_is_judged_again(store: Store) -> None:
    """Nothing of it was published; a person may force it now."""
    assert not judge(store, make_bundle(1.3), predictions(1.3)).verdict.passed
    assert judge(store, make_bundle(1.3), predictions(1.3), force_reason="asked").verdict.passed


def test_a_release_of_another_bundle_is_not_taken(store: Store) -> None:
    """Its certificate speaks of something else."""
    other = judge(store, make_bundle(1.01), predictions(1.01)).release
    store.publish(channels.release_prefix(MODEL, VERSION), other.files, last=MANIFEST)
    bundle = make_bundle()
    assert judge(store, bundle, predictions()).certificate.subject == bundle.digest


def test_the_certificate_is_in_mlflow_beside_the_card(store: Store, mlflow_url: str, tmp_path: Path) -> None:
    """Registered, judged twice: one section in the description, the card before it, both files in the run."""
    from pipeline.register import register
    from pipeline.registry import Registry
    from pipeline.version_record import RunContext

    registry = Registry(mlflow_url)
    folders = put(store, make_bundle(1.003), predictions(1.003))
    context = RunContext("gate/test", "", "", "2015-06-10", "manual", "", "")
    registered = register(DATASET, store, registry, folders.bundle_ref, folders.trained_ref, context)
    for _ in range(2):
        verdict = gate(
            DATASET, store, registry, folders.bundle_ref, folders.trained_ref, registered.version, TERMS, KEY
        )
    version = registry.client.get_model_version(MODEL, str(registered.version))
    assert len(version.description) <= 5_000
    assert version.description.count("### Certificate") == 1
    assert "### Error on the newest days" in version.description.partition("### Certificate")[0]
    assert version.tags["gate"] == "passed"
    kept = {file.path for file in registry.client.list_artifacts(registered.run_id, "certificate")}
    assert kept == {"certificate/certificate.json", "certificate/certificate.md"}
    assert verdict.passed
