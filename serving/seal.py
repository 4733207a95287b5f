"""The seal of a release: is its certificate for this version, does it allow it, did a known key sign the manifest?

Checked before anything looks at the graph. Not here: the checksums and the graph (``loader.py``), or signing
(``pipeline/signing.py``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pipeline.contract import bundle as bundles
from pipeline.contract import certificate as certificates
from pipeline.contract.bundle import CERTIFICATE, MANIFEST, SIGNATURE, Bundle
from pipeline.contract.channel import Release
from serving.errors import ReleaseRefused, SettingsInvalid
from serving.release import LoadedRelease

Load = Callable[[str, Release, Mapping[str, bytes]], LoadedRelease]
Keys = Mapping[str, Ed25519PublicKey]

MAX_SHOWN = 40
HOW = "base64 of an Ed25519 public key, as `python -m pipeline.signing FILE` prints it"


def read_keys(setting: str) -> Keys:
    """The public keys of ``SERVING_RELEASE_KEY`` by their id; several are separated by commas.

    Raises:
        SettingsInvalid: one of them is no such key.
    """
    keys = {}
    for text in filter(None, (part.strip() for part in setting.split(","))):
        try:
            raw = base64.b64decode(text, validate=True)
            keys[hashlib.sha256(raw).hexdigest()[:16]] = Ed25519PublicKey.from_public_bytes(raw)
        except (binascii.Error, ValueError) as error:
            raise SettingsInvalid(f"SERVING_RELEASE_KEY: {text[:MAX_SHOWN]!r} is not {HOW}") from error
    return keys


def sealed(load: Load, keys: Keys) -> Load:
    """``load`` for releases with a good seal only. Without keys nobody asks for one."""
    if not keys:
        return load

    def load_sealed(model: str, release: Release, files: Mapping[str, bytes]) -> LoadedRelease:
        check(release, files, keys)
        return load(model, release, files)

    return load_sealed


def check(release: Release, files: Mapping[str, bytes], keys: Keys) -> None:
    """Signature first: nothing is read of a manifest that nobody known has signed.

    Raises:
        ReleaseRefused: the release has no certificate or signature, or one that is not good.
    """
    for name in (MANIFEST, CERTIFICATE, SIGNATURE):
        if name not in files:
            raise ReleaseRefused(f"the release has no {name}: it has not been through the gate")
    _check_signature(files[SIGNATURE], files[MANIFEST], keys)
    try:
        _check_certificate(release, bundles.read(files, release.digest))
    except ValueError as error:  # also BundleInvalid, CertificateInvalid
        raise ReleaseRefused(str(error)) from error


def _check_signature(document: bytes, manifest: bytes, keys: Keys) -> None:
    key, signature = _signature(document)
    if key is None:
        raise ReleaseRefused("the release is not signed; set GAVEL_SIGNING_KEY where the pipeline runs")
    if key not in keys:
        raise ReleaseRefused(f"the release is signed with the key {key!r}, which is not in SERVING_RELEASE_KEY")
    try:
        keys[key].verify(signature, manifest)
    except InvalidSignature as error:
        raise ReleaseRefused(f"the signature of the release is not that of the key {key!r}") from error


def _signature(document: bytes) -> tuple[str | None, bytes]:
    try:
        found: Any = json.loads(document)
        if found["key"] is None:
            return None, b""
        return str(found["key"])[:MAX_SHOWN], base64.b64decode(found["signature"], validate=True)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ReleaseRefused(f"{SIGNATURE} cannot be read") from error


def _check_certificate(release: Release, bundle: Bundle) -> None:
    """A certificate of another version or bundle may be honest, and is none for this release."""
    assert bundle.certificate is not None
    found = certificates.read(bundle.certificate)
    if (found.model, found.version) != (bundle.manifest.model_name, release.version):
        raise ReleaseRefused(f"the certificate is of {found.model} version {found.version}, not of this release")
    if found.subject != bundle.subject:
        raise ReleaseRefused("the certificate is of another model than the one it came with")
    if not found.allowed:
        failed = "; ".join(check.text for check in found.checks if not check.passed)
        raise ReleaseRefused(f"the gate refused this release: {failed}")
