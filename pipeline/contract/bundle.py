"""The bundle: ``model.onnx``, ``manifest.json`` and ``golden.json``, the folder that travels to serving.

The manifest names the SHA-256 of the other files, so its own SHA-256, the digest, stands for the whole bundle.
A release is a bundle with ``certificate.json`` among them and ``signature.json`` beside them. Not here: where
bundles lie (``pipeline/store``, ``serving/source.py``), what a certificate says (``certificate.py``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.contract.schema import Schema

MODEL, MANIFEST, GOLDEN = "model.onnx", "manifest.json", "golden.json"
CERTIFICATE, SIGNATURE = "certificate.json", "signature.json"
FILES = (MODEL, GOLDEN, MANIFEST)
RELEASE_FILES = (MODEL, GOLDEN, CERTIFICATE, SIGNATURE, MANIFEST)  # the manifest comes last wherever they are written
FORMAT = 1


class BundleInvalid(ValueError):
    """The files are not a whole, untouched bundle; the message says which part and why."""


@dataclass(frozen=True, slots=True)
class Golden:
    """Recorded requests and their answers: ``answers[i]`` maps each output name to its value for ``rows[i]``.

    A server must answer within the relative difference ``tolerance``.
    """

    rows: tuple[Mapping[str, Any], ...]
    answers: tuple[Mapping[str, float], ...]
    tolerance: float = 1e-6


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle says about itself.

    ``data_day`` (ISO date) is the newest data day the model learned from; ``fingerprint`` is one value
    for the same data, code and settings; ``metrics`` and ``lineage`` are for people and the registry.
    """

    model_name: str
    data_day: str
    fingerprint: str
    schema: Schema
    metrics: Mapping[str, Any]
    lineage: Mapping[str, Any]
    sha256: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle in memory. ``digest`` is the SHA-256 of the manifest's bytes.

    ``subject`` is the digest that it had before it was certified: what its certificate must speak of.
    """

    manifest: Manifest
    golden: Golden
    files: Mapping[str, bytes]
    digest: str

    @property
    def model(self) -> bytes:
        return self.files[MODEL]

    @property
    def certificate(self) -> bytes | None:
        """The certificate's document; None of a bundle that has not been through the gate."""
        return self.files.get(CERTIFICATE)

    @property
    def subject(self) -> str:
        return self.digest if self.certificate is None else sha256(_with_certificate(self.files[MANIFEST], None))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def to_json(document: Any) -> bytes:
    """One way of writing JSON: sorted keys, no NaN, a final newline; same document, same bytes."""
    return (json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def build(
    model: bytes,
    golden: Golden,
    *,
    model_name: str,
    data_day: str,
    fingerprint: str,
    schema: Schema,
    metrics: Mapping[str, Any],
    lineage: Mapping[str, Any],
) -> Bundle:
    """Put a bundle together; the same arguments give the same bytes and so the same digest."""
    golden_bytes = to_json({"rows": list(golden.rows), "answers": list(golden.answers), "tolerance": golden.tolerance})
    manifest = to_json(
        {
            "format": FORMAT,
            "model_name": model_name,
            "data_day": data_day,
            "fingerprint": fingerprint,
            "schema": schema.to_dict(),
            "metrics": dict(metrics),
            "lineage": dict(lineage),
            "sha256": {MODEL: sha256(model), GOLDEN: sha256(golden_bytes)},
        }
    )
    return read({MODEL: model, GOLDEN: golden_bytes, MANIFEST: manifest})


def certified(bundle: Bundle, certificate: bytes) -> Bundle:
    """The bundle with a certificate among the files that its manifest stands for. It has no signature yet."""
    files = {name: bundle.files[name] for name in FILES}
    manifest = _with_certificate(files[MANIFEST], sha256(certificate))
    return read({**files, CERTIFICATE: certificate, MANIFEST: manifest})


def signed(bundle: Bundle, signature: bytes) -> Bundle:
    """A certified bundle with its signature beside it: a release."""
    return read({**bundle.files, SIGNATURE: signature}, bundle.digest)


def names(manifest: bytes) -> tuple[str, ...]:
    """The files that lie beside a manifest, itself among them: to be read before anything is verified."""
    return RELEASE_FILES if f'"{CERTIFICATE}":'.encode() in manifest else FILES


def _with_certificate(manifest: bytes, digest: str | None) -> bytes:
    """The manifest with the certificate's SHA-256, or without."""
    document = json.loads(manifest)
    others = {name: value for name, value in document["sha256"].items() if name != CERTIFICATE}
    return to_json({**document, "sha256": others | ({CERTIFICATE: digest} if digest else {})})


def read(files: Mapping[str, bytes], digest: str | None = None) -> Bundle:
    """Verify the files of a bundle against their manifest, and that against ``digest`` if given.

    Raises:
        BundleInvalid: a file is missing, was changed, or the manifest cannot be read.
    """
    for name in FILES:
        if name not in files:
            raise BundleInvalid(f"{name} is missing")
    files = {name: files[name] for name in RELEASE_FILES if name in files}
    found = sha256(files[MANIFEST])
    if digest is not None and found != digest:
        raise BundleInvalid(f"manifest.json has SHA-256 {found}, expected {digest}")
    try:
        manifest = _manifest(json.loads(files[MANIFEST]))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise BundleInvalid(f"manifest.json cannot be read: {error!r}") from error
    _check_files(files, manifest)
    return Bundle(manifest, _golden(files[GOLDEN]), files, found)


def _check_files(files: Mapping[str, bytes], manifest: Manifest) -> None:
    stated = {MODEL, GOLDEN, *({CERTIFICATE} & (files.keys() | manifest.sha256.keys()))}
    for name in sorted(stated, key=RELEASE_FILES.index):
        if name not in files:
            raise BundleInvalid(f"{name} is missing")
        found = sha256(files[name])
        if found != manifest.sha256.get(name):
            raise BundleInvalid(f"{name} has SHA-256 {found}, its manifest says {manifest.sha256.get(name)}")


def _manifest(document: Mapping[str, Any]) -> Manifest:
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']} is not known here (expected {FORMAT})")
    return Manifest(
        model_name=document["model_name"],
        data_day=document["data_day"],
        fingerprint=document["fingerprint"],
        schema=Schema.from_dict(document["schema"]),
        metrics=document["metrics"],
        lineage=document["lineage"],
        sha256=dict(document["sha256"]),
    )


def _golden(data: bytes) -> Golden:
    try:
        document = json.loads(data)
        golden = Golden(tuple(document["rows"]), tuple(document["answers"]), float(document["tolerance"]))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise BundleInvalid(f"golden.json cannot be read: {error!r}") from error
    if not golden.rows or len(golden.rows) != len(golden.answers):
        raise BundleInvalid("golden.json must hold rows, each with its answer")
    return golden
