"""Is a registered version good enough to go live? The certificate that says so, and the release that carries it.

A refused version stays registered, with the reason in its tags. Not here: the checks (``pipeline/checks``), making it
live (``pipeline/deploy.py``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipeline import certificate_text
from pipeline.checks.case import Champion
from pipeline.checks.judge import judge
from pipeline.checks.server import Prover
from pipeline.contract import bundle as bundles
from pipeline.contract import certificate as certificates
from pipeline.contract.bundle import MANIFEST, Bundle, BundleInvalid
from pipeline.contract.certificate import Certificate, Check, Mode
from pipeline.contract.channel import Release
from pipeline.datasets.declaration import Dataset
from pipeline.registry import Registry
from pipeline.releases import live_release, read_release
from pipeline.signing import public_key, sign
from pipeline.store import KeyNotFound, Store
from pipeline.workspace import Ref, Workspace, code_digest, key_of, read_file


@dataclass(frozen=True, slots=True)
class Terms:
    """How the gate judges. ``margin`` is how much worse than the champion a version may be, as a fraction;

    ``force_reason`` is why a person lets it pass all the same, or empty.
    """

    mode: Mode
    margin: float
    force_reason: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """May the version go live (``passed``)? Then the folder at ``prefix`` has the release's files, with certificate.

    ``verdict`` says it in a word, ``reason`` in a line; ``table`` and ``markdown`` show every check.
    """

    passed: bool
    verdict: str
    reason: str
    prefix: str
    digest: str
    table: str
    markdown: str

    @property
    def message(self) -> str:
        return f"{self.verdict}: {self.reason}"


def gate(
    dataset: Dataset,
    store: Store,
    registry: Registry,
    bundle: Ref,
    trained: Ref,
    version: int,
    terms: Terms,
    key: Ed25519PrivateKey | None = None,
    prover: Prover | None = None,
) -> Verdict:
    """Check a version, write its certificate, and make the release that deploy publishes; signed if there is a ``key``.

    A refusal is an answer, not an error. A version that was published before keeps its certificate.

    Raises:
        DataInvalid, BundleInvalid: the inputs were changed after they were written.
        ModelRefused: the channel cannot be read, or the store belongs to another registry; a person must look.
        RegistryUnavailable, StoreUnavailable, DeployFailed: try again.
    """
    candidate = bundles.read({name: read_file(store, bundle, name) for name in bundles.FILES})
    model = candidate.manifest.model_name
    folders, published = Workspace(store, f"certified/{model}"), _before(store, candidate, version)
    champion = _read_certificate(published).champion if published else live_release(store, model)
    name = _key(candidate, version, terms, champion, key)
    kept = _read(store, ref) if (ref := folders.find(name)) else None
    if published and kept and kept.digest != published.digest:
        name = key_of("published", published.digest)
    release = published or kept
    if release is None:
        judged = judge(dataset, store, candidate, trained, version, terms.mode, terms.margin, prover)
        certificate = _certificate(candidate, version, terms, *judged)
        release = _release(candidate, certificate, key)
    return _concluded(store, registry, release, version, folders, name)


def _concluded(
    store: Store, registry: Registry, release: Bundle, version: int, folders: Workspace, name: str
) -> Verdict:
    """What may go live gets its folder; the verdict is told to the registry last."""
    certificate, ref = _read_certificate(release), Ref("", "")
    if certificate.allowed:
        ref = folders.publish(name, release.files)
        release = _read(store, ref)  # another gate may have been faster: then its certificate stands
        certificate = _read_certificate(release)
    verdict = _verdict(certificate, ref)
    registry.add_findings(
        certificate.model,
        version,
        files={
            "certificate/certificate.json": certificate.to_bytes(),
            certificate_text.ARTIFACT: verdict.markdown.encode(),
        },
        tags=_tags(certificate, verdict.reason, release),
        about=lambda card: certificate_text.described(card, certificate),
    )
    return verdict


def _key(candidate: Bundle, version: int, terms: Terms, champion: Release | None, key: Ed25519PrivateKey | None) -> str:
    """One folder for one judgement: a gate that was killed, or two at once, come to the same certificate."""
    beside = champion.digest if champion and terms.mode != "off" else ""  # nobody looks at it then
    judged = (candidate.digest, version, terms.mode, terms.margin, terms.force_reason, beside)
    return key_of("gate", *judged, public_key(key) if key else "", code_digest())


def _read(store: Store, ref: Ref) -> Bundle:
    return bundles.read({name: read_file(store, ref, name) for name in bundles.RELEASE_FILES})


def _read_certificate(release: Bundle) -> Certificate:
    assert release.certificate is not None
    return certificates.read(release.certificate)


def _before(store: Store, candidate: Bundle, version: int) -> Bundle | None:
    """The release of this version that was made of this bundle and published by an earlier run: it stands."""
    try:
        found = read_release(store, candidate.manifest.model_name, version)
    except (KeyNotFound, BundleInvalid):
        return None
    return found if found.certificate is not None and found.subject == candidate.digest else None


def _certificate(
    candidate: Bundle, version: int, terms: Terms, checks: tuple[Check, ...], champion: Champion | None
) -> Certificate:
    return Certificate(
        model=candidate.manifest.model_name,
        version=version,
        subject=candidate.subject,
        made_at=terms.now.isoformat(timespec="seconds"),
        mode=terms.mode,
        checks=checks,
        champion=champion.release if champion else None,
        forced="" if all(check.passed for check in checks) else terms.force_reason,
    )


def _release(candidate: Bundle, certificate: Certificate, key: Ed25519PrivateKey | None) -> Bundle:
    """What may not go live is not signed either."""
    certified = bundles.certified(candidate, certificate.to_bytes())
    return bundles.signed(certified, sign(key if certificate.allowed else None, certified.files[MANIFEST]))


def _verdict(certificate: Certificate, ref: Ref) -> Verdict:
    return Verdict(
        passed=certificate.allowed,
        verdict=certificate.verdict,
        reason=_reason(certificate),
        prefix=ref.prefix,
        digest=ref.digest,
        table=certificate_text.table(certificate),
        markdown=certificate_text.markdown(certificate),
    )


def _reason(certificate: Certificate) -> str:
    failed = "; ".join(check.text for check in certificate.checks if not check.passed)
    if not failed:
        warned = [check.text for check in certificate.checks if check.warned]
        count = len(certificate.checks)
        return "; ".join([f"{count} checks" if count > 1 else "parity alone", *warned])
    if certificate.forced:
        return f"forced ({certificate.forced}) although {failed}"
    return (
        failed
        if certificate.mode == "enforce"
        else f"it goes on, as the gate only tells ({certificate.mode}); {failed}"
    )


def _tags(certificate: Certificate, reason: str, release: Bundle) -> dict[str, str]:
    word = f"forced: {certificate.forced}" if certificate.verdict == "forced" else certificate.verdict
    signature = json.loads(release.files[bundles.SIGNATURE])["key"] or "none"
    return {"gate": word[:200], "gate_reason": reason[:1000], "signed_by": signature}
