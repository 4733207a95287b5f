"""pipeline/contract/bundle.py"""

import json

import pytest

from pipeline.contract import bundle as bundles
from pipeline.contract.bundle import FILES, BundleInvalid, Golden
from pipeline.contract.schema import Column, Schema

SCHEMA = Schema((Column("year", "numeric"),), "USD")
GOLDEN = Golden(({"year": 2013},), ({"price": 1.5, "low": 1.0, "high": 2.0},))


def build(**changes):
    arguments = {
        "model": b"onnx bytes",
        "golden": GOLDEN,
        "model_name": "car_price",
        "data_day": "2015-06-01",
        "fingerprint": "abc",
        "schema": SCHEMA,
        "metrics": {"mae": 1.0},
        "lineage": {"days": ["2015-06-01"]},
    }
    return bundles.build(**{**arguments, **changes})


def test_a_bundle_is_read_back_as_it_was_built():
    """Model bytes, manifest, golden rows and digest."""
    made = build()
    found = bundles.read(made.files, made.digest)
    assert found == made
    assert (found.model, found.manifest.schema, found.golden) == (b"onnx bytes", SCHEMA, GOLDEN)
    assert set(made.files) == set(FILES)


def test_the_same_arguments_give_the_same_digest():
    """And any other argument another one."""
    assert build().digest == build(metrics={"mae": 1.0}).digest
    others = [build(model=b"other"), build(fingerprint="x"), build(data_day="2015-06-02"), build(metrics={})]
    assert len({build().digest, *(other.digest for other in others)}) == 5


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(name):
    """Half a bundle is none."""
    files = {key: data for key, data in build().files.items() if key != name}
    with pytest.raises(BundleInvalid, match=f"{name} is missing"):
        bundles.read(files)


@pytest.mark.parametrize("name", FILES)
def test_any_tampered_byte_is_refused(name):
    """One flipped bit anywhere in any file, one byte less, one more, none at all."""
    made = build()
    data = made.files[name]
    flipped = [data[:i] + bytes([data[i] ^ (1 << i % 8)]) + data[i + 1 :] for i in range(len(data))]
    for changed in [*flipped, data[:-1], data + b"\n", b""]:
        with pytest.raises(BundleInvalid, match=f"{name} has SHA-256"):
            bundles.read({**made.files, name: changed}, made.digest)


def test_files_of_two_bundles_do_not_mix():
    """Another bundle's model is a changed file, its whole bundle a wrong digest."""
    one, two = build(), build(model=b"other")
    with pytest.raises(BundleInvalid, match=r"model\.onnx has SHA-256"):
        bundles.read({**one.files, "model.onnx": two.model}, one.digest)
    with pytest.raises(BundleInvalid, match=r"manifest\.json has SHA-256"):
        bundles.read(two.files, one.digest)


def manifest(**changes) -> bytes:
    return bundles.to_json({**json.loads(build().files["manifest.json"]), **changes})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        manifest(format=2),
        manifest(schema=None),
        manifest(schema={"inputs": [{"colour": 1}], "outputs": [], "output_unit": ""}),
        manifest(sha256=None),
        manifest(sha256="text"),
        manifest(sha256={}),
        b"{}",
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(data):
    """Whatever stands in it, there is one kind of error."""
    with pytest.raises(BundleInvalid):
        bundles.read({**build().files, "manifest.json": data})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"[" * 100_000,
        b'{"rows": [], "answers": [], "tolerance": 1e-6}',
        b'{"rows": [{}], "answers": [], "tolerance": 1e-6}',
        b'{"rows": 1, "answers": 1, "tolerance": 1e-6}',
        b'{"rows": [{}], "answers": [{}], "tolerance": null}',
    ],
)
def test_golden_rows_that_make_no_sense_are_refused(data):
    """A bundle whose answers cannot be compared is no bundle, even with the right checksum."""
    made = build()
    sha256 = {"model.onnx": bundles.sha256(made.model), "golden.json": bundles.sha256(data)}
    with pytest.raises(BundleInvalid, match=r"golden\.json"):
        bundles.read({**made.files, "golden.json": data, "manifest.json": manifest(sha256=sha256)})


def test_json_is_written_one_way_only():
    """Key order does not matter, NaN is refused, the file ends with a newline."""
    assert bundles.to_json({"b": 1, "a": "é"}) == bundles.to_json({"a": "é", "b": 1})
    assert bundles.to_json({}).endswith(b"\n")
    with pytest.raises(ValueError, match="JSON compliant"):
        bundles.to_json({"a": float("nan")})
