"""serving/seal.py: who may say what answers here."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from pipeline.contract import bundle as bundles
from pipeline.contract.bundle import CERTIFICATE, FILES, MANIFEST, SIGNATURE, Bundle
from pipeline.contract.certificate import Certificate, Check
from pipeline.contract.channel import release_prefix
from pipeline.signing import public_key, sign
from serving.app import create_app
from serving.errors import ReleaseRefused, SettingsInvalid
from serving.loader import load
from serving.seal import check, read_keys, sealed
from serving.settings import Settings
from tests.serving import tiny
from tests.serving.process import wait_for

OURS, THEIRS = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
KEYS = read_keys(public_key(OURS))
FINE = Check("quality", "baseline", 1.0, 2.0, True, "below the baseline")
POOR = Check("quality", "champion", 3.0, 2.0, False, "worse than the champion")


def released(version: int = 1, key: Ed25519PrivateKey | None = OURS, check: Check = FINE, **changes) -> Bundle:
    """A release of the tiny model, as the gate makes it; ``changes`` are of the certificate."""
    made = tiny.bundle(version)
    fields = {"model": tiny.MODEL, "version": version, "subject": made.digest, "mode": "enforce"} | changes
    certificate = Certificate(**fields, made_at="2015-06-02T00:00:00+00:00", checks=(check,))
    certified = bundles.certified(made, certificate.to_bytes())
    return bundles.signed(certified, sign(key, certified.files[MANIFEST]))


def put(root, made: Bundle, version: int = 1):
    for name, data in made.files.items():
        tiny.write(root / release_prefix(tiny.MODEL, version) / name, data)
    tiny.point(root, tiny.release_of(version, made), version)


def reason(made: Bundle, version: int = 1, files=None) -> str:
    with pytest.raises(ReleaseRefused) as caught:
        check(tiny.release_of(version, made), made.files if files is None else files, KEYS)
    return str(caught.value)


def test_a_release_with_a_good_seal_is_loaded():
    """Certificate, signature, digest: all of this very release."""
    made = released()
    loaded = sealed(load, KEYS)(tiny.MODEL, tiny.release_of(1, made), made.files)
    assert loaded.version == 1


def test_without_keys_nobody_asks():
    """A bundle that has not been through the gate is loaded as before."""
    made = tiny.bundle(1)
    assert sealed(load, read_keys(""))(tiny.MODEL, tiny.release_of(1, made), made.files).version == 1


def test_a_refused_release_is_not_even_looked_at():
    """The loader, and with it the trial, is never asked."""
    asked = []
    made = tiny.bundle(1)
    with pytest.raises(ReleaseRefused, match=r"no certificate\.json: it has not been through the gate"):
        sealed(lambda *given: asked.append(given), KEYS)(tiny.MODEL, tiny.release_of(1, made), made.files)
    assert asked == []


def test_an_unsigned_release_is_refused():
    """The reason says what to set."""
    assert "set GAVEL_SIGNING_KEY" in reason(released(key=None))


def test_somebody_elses_signature_is_refused():
    """A good signature by a key that nobody named."""
    assert "is not in SERVING_RELEASE_KEY" in reason(released(key=THEIRS))


def test_a_signature_under_anothers_name_is_refused():
    """The key's id in the document is a hint, no proof."""
    made = released(key=THEIRS)
    document = json.loads(made.files[SIGNATURE]) | {"key": next(iter(KEYS))}
    files = {**made.files, SIGNATURE: bundles.to_json(document)}
    assert "is not that of the key" in reason(made, files=files)


def test_the_signature_of_another_release_is_refused():
    """By the same key."""
    made = released()
    files = {**made.files, SIGNATURE: released(2).files[SIGNATURE]}
    assert "is not that of the key" in reason(made, files=files)


def test_a_certificate_put_in_afterwards_is_refused():
    """Its checksum in the manifest made right again as well: then the signature is wrong."""
    bad = released(check=POOR)
    good = bundles.certified(bad, released().certificate)
    files = {**good.files, SIGNATURE: bad.files[SIGNATURE]}
    assert "is not that of the key" in reason(good, files=files)
    assert "certificate.json has SHA-256" in reason(bad, files={**bad.files, CERTIFICATE: good.certificate})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 2}, "the certificate is of car_price version 2"),
        ({"model": "boats"}, "the certificate is of boats"),
        ({"subject": "0" * 64}, "of another model than the one it came with"),
        ({"check": POOR}, "the gate refused this release: worse than the champion"),
    ],
)
def test_a_signed_certificate_must_be_of_this_release_and_let_it_live(changes, words):
    """A signature makes nobody's certificate somebody else's."""
    made = tiny.bundle(1)
    check_ = changes.pop("check", FINE)
    fields = {"model": tiny.MODEL, "version": 1, "subject": made.digest} | changes
    document = Certificate(**fields, made_at="", mode="enforce", checks=(check_,)).to_bytes()
    certified = bundles.certified(made, document)
    assert words in reason(bundles.signed(certified, sign(OURS, certified.files[MANIFEST])))


@pytest.mark.parametrize("changes", [{"forced": "asked for"}, {"mode": "dry-run"}, {"mode": "off"}])
def test_what_was_let_pass_is_loaded_although_a_check_failed(changes):
    """The gate decides, the certificate tells."""
    made = released(check=POOR, **changes)
    check(tiny.release_of(1, made), made.files, KEYS)


def test_several_keys_are_taken_while_they_change():
    """Releases of the old key can still be gone back to."""
    both = read_keys(f" {public_key(OURS)},{public_key(THEIRS)} ,")
    for key in (OURS, THEIRS):
        made = released(key=key)
        check(tiny.release_of(1, made), made.files, both)


@pytest.mark.parametrize("setting", ["key", "AAAA", public_key(OURS)[:-4], public_key(OURS) + ";", "Ä" * 44])
def test_a_setting_that_is_no_key_is_said(setting):
    """And how one is made."""
    with pytest.raises(SettingsInvalid, match=r"python -m pipeline\.signing"):
        read_keys(setting)


@pytest.mark.parametrize(
    "document", [b"", b"{}", b"[]", b'{"key": "a"}', b'{"key": "a", "signature": "*"}', b"[" * 9999]
)
def test_a_signature_document_that_makes_no_sense_is_refused(document):
    """One kind of error."""
    made = released()
    assert "signature.json" in reason(made, files={**made.files, SIGNATURE: document})


GOOD = released()


@given(st.sampled_from([*FILES, CERTIFICATE, SIGNATURE]), st.data())
def test_no_changed_byte_passes(name, data):
    """Any one byte of any file changed: refused, or (base64 and JSON leave room) the very same seal."""
    at = data.draw(st.integers(0, len(GOOD.files[name]) - 1))
    bit = data.draw(st.integers(0, 7))
    old = GOOD.files[name]
    files = {**GOOD.files, name: old[:at] + bytes([old[at] ^ (1 << bit)]) + old[at + 1 :]}
    try:
        check(tiny.release_of(1, GOOD), files, KEYS)
    except ReleaseRefused:
        return
    assert name == SIGNATURE
    signatures = [base64.b64decode(json.loads(document)["signature"]) for document in (files[SIGNATURE], old)]
    assert signatures[0] == signatures[1]


@pytest.mark.parametrize(("key", "live"), [(OURS, True), (THEIRS, False)])
def test_a_replica_serves_sealed_releases_only(root, key, live, tmp_path):
    """From the store, with the reason in its status; kept for a start without the store, seal and all."""
    settings = Settings(
        store=f"file:{root}", poll_seconds=0.05, release_key=public_key(OURS), state=tmp_path / "state"
    )  # fmt: skip
    put(root, released(key=key))
    with TestClient(create_app(settings)) as client:
        status = client.get("/v1/model").json()
    assert status["ready"] is live
    assert live or "SERVING_RELEASE_KEY" in status["refusal"]["reason"]
    (root / "channels" / f"{tiny.MODEL}.json").unlink()
    (root / "channels").rmdir()
    root.rename(tmp_path / "away")
    with TestClient(create_app(settings)) as client:
        wait_for(lambda: client.get("/v1/model").json()["store_error"])
        assert client.get("/v1/model").json()["ready"] is live
