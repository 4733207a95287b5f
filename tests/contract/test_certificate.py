"""pipeline/contract/certificate.py, and how a bundle carries it."""

import json
from dataclasses import asdict

import pytest

from pipeline.contract import bundle as bundles
from pipeline.contract import certificate as certificates
from pipeline.contract.bundle import CERTIFICATE, FILES, MANIFEST, RELEASE_FILES, SIGNATURE, BundleInvalid, Golden
from pipeline.contract.certificate import Certificate, CertificateInvalid, Check
from pipeline.contract.channel import Release
from pipeline.contract.schema import Column, Schema

GOOD = Check("quality", "baseline", 900.0, 1000.0, True, "900 USD is below the baseline's 1,000")
BAD = Check("data", "leakage", 0.9999, 0.999, False, "`mmr` gives the price away")
BUNDLE = bundles.build(
    b"onnx bytes",
    Golden(({"year": 2013},), ({"price": 1.5, "low": 1.0, "high": 2.0},)),
    model_name="car_price",
    data_day="2015-06-01",
    fingerprint="abc",
    schema=Schema((Column("year", "numeric"),), "USD"),
    metrics={"mae": 0.1 + 0.2},
    lineage={"source": "Käfer"},
)


def certificate(*checks, **changes):
    fields = {"mode": "enforce", "champion": Release(3, "a" * 64, "2015-05-31"), "forced": ""} | changes
    return Certificate("car_price", 4, BUNDLE.subject, "2015-06-02T00:00:00+00:00", checks=checks or (GOOD,), **fields)


def test_a_certificate_is_read_back_as_it_was_written():
    """With and without a champion, a figure, a reason."""
    for made in (certificate(), certificate(GOOD, BAD, mode="dry-run", champion=None, forced="told to")):
        assert certificates.read(made.to_bytes()) == made


@pytest.mark.parametrize(
    ("checks", "mode", "forced", "allowed", "verdict"),
    [
        ((GOOD,), "enforce", "", True, "passed"),
        ((GOOD, BAD), "enforce", "", False, "refused"),
        ((GOOD, BAD), "enforce", "asked for", True, "forced"),
        ((GOOD, BAD), "dry-run", "", True, "refused (dry-run)"),
        ((GOOD,), "off", "", True, "passed (off)"),
    ],
)
def test_what_may_go_live(checks, mode, forced, allowed, verdict):
    """A failed check keeps it out, unless a person forced it or refusals are only told; it stays failed on record."""
    made = certificate(*checks, mode=mode, forced=forced)
    assert (made.allowed, made.verdict, made.passed) == (allowed, verdict, BAD not in checks)


def changed(**changes):
    return bundles.to_json({**json.loads(certificate(GOOD, BAD).to_bytes()), **changes})


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000,
        changed(format=2), changed(mode="lenient"), changed(checks=None), changed(checks=[{"name": "x"}]), changed(passed=True),
        changed(checks=[{**asdict(GOOD), "passed": "yes"}]), changed(champion={"version": 1}),
    ],
)  # fmt: skip
def test_a_document_that_makes_no_sense_is_refused(data):
    """There is one kind of error; a verdict that its own checks deny is one."""
    with pytest.raises(CertificateInvalid):
        certificates.read(data)


def released():
    return bundles.signed(bundles.certified(BUNDLE, certificate().to_bytes()), b"{}")


def test_a_release_keeps_what_the_certificate_speaks_of():
    """Certifying changes the digest; the bundle's own digest can be computed from the release."""
    made = released()
    assert made.digest != BUNDLE.digest
    assert made.subject == BUNDLE.digest == certificates.read(made.certificate).subject
    assert set(made.files) == set(RELEASE_FILES)
    assert bundles.read(made.files, made.digest) == made
    assert (BUNDLE.subject, BUNDLE.certificate) == (BUNDLE.digest, None)


def test_certifying_again_replaces_the_certificate():
    """As if it had never had another."""
    other = certificate(GOOD, BAD).to_bytes()
    assert bundles.certified(released(), other) == bundles.certified(BUNDLE, other)


def test_a_certificate_is_part_of_the_digest():
    """Taken away, changed, slipped in: no such release."""
    made, other = released(), certificate(BAD).to_bytes()
    without = {name: data for name, data in made.files.items() if name != CERTIFICATE}
    for files in (without, {**made.files, CERTIFICATE: other}, {**BUNDLE.files, CERTIFICATE: other}):
        with pytest.raises(BundleInvalid, match=r"certificate\.json"):
            bundles.read(files)
    with pytest.raises(BundleInvalid, match=r"manifest\.json has SHA-256"):
        bundles.read(BUNDLE.files, made.digest)


def test_a_manifest_tells_which_files_lie_beside_it():
    """A bundle has three, a release five, and the manifest is the last to be written."""
    assert bundles.names(BUNDLE.files[MANIFEST]) == FILES
    assert bundles.names(released().files[MANIFEST]) == RELEASE_FILES
    assert bundles.names(b"\xff") == FILES
    assert SIGNATURE in RELEASE_FILES[:-1]
    assert RELEASE_FILES[-1] == MANIFEST
