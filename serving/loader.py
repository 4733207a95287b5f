"""From the bytes of a release to a ``LoadedRelease`` that has already answered, or a refusal with the reason.

Not here: which release is wanted, or what is live. ``load`` is the seam for stricter checks: whatever calls it
needs a function of (model, release, files) that raises ``ReleaseRefused``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import onnxruntime

from pipeline.contract import bundle as bundles
from pipeline.contract.bundle import Bundle, BundleInvalid
from pipeline.contract.channel import Release
from pipeline.contract.schema import Schema
from serving import golden
from serving.errors import ReleaseRefused
from serving.release import LoadedRelease

WARM_UP_ROWS = (1, 64, 1_000)
TENSORS = {"numeric": "tensor(double)", "categorical": "tensor(string)"}
MAX_REASON = 500


def load(model: str, release: Release, files: Mapping[str, bytes]) -> LoadedRelease:
    """Verify, build the session from the verified bytes, compare golden answers, warm up.

    Raises:
        ReleaseRefused: a check failed; the message says which.
    """
    try:
        return _load(model, release, files)
    except (ReleaseRefused, BundleInvalid) as error:
        raise ReleaseRefused(str(error)) from error
    except Exception as error:  # whatever a strange model makes onnxruntime raise, it is the release's fault
        reason = f"{type(error).__name__}: {error}"[:MAX_REASON]
        raise ReleaseRefused(f"the model cannot be loaded: {reason}") from error


def _load(model: str, release: Release, files: Mapping[str, bytes]) -> LoadedRelease:
    bundle = bundles.read(files, release.digest)
    manifest = bundle.manifest
    if manifest.model_name != model:
        raise ReleaseRefused(f"the release is of the model {manifest.model_name!r}, not {model!r}")
    session = _session(bundle)
    _check_signature(session, manifest.schema)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    loaded = LoadedRelease(
        model, release.version, release.digest, manifest.data_day, now, manifest.schema, bundle.golden, session
    )
    _prove(loaded)
    return loaded


def _session(bundle: Bundle) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # many requests at once use the cores better than many threads for one
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong comes as an exception
    return onnxruntime.InferenceSession(bundle.model, options, providers=["CPUExecutionProvider"])


def _check_signature(session: onnxruntime.InferenceSession, schema: Schema) -> None:
    wanted = {column.name: TENSORS[column.kind] for column in schema.inputs}
    if not schema.inputs or len(wanted) != len(schema.inputs):
        raise ReleaseRefused("the manifest's columns must be there, each with its own name")
    _compare("input", {node.name: node.type for node in session.get_inputs()}, wanted)
    outputs = {node.name: node.type for node in session.get_outputs()}
    _compare("output", outputs, dict.fromkeys(schema.outputs, "tensor(double)"))
    for node in session.get_inputs():
        if len(node.shape) != 2 or node.shape[1] != 1 or isinstance(node.shape[0], int):  # noqa: PLR2004 rank
            raise ReleaseRefused(f"the model's input {node.name} has shape {node.shape}, it must be [N, 1]")


def _compare(what: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            has, must = found.get(name, "missing"), wanted.get(name, "missing")
            raise ReleaseRefused(f"{what} {name} is {has} in the model and {must} in the manifest")


def _prove(release: LoadedRelease) -> None:
    wrong = golden.mismatch(release)
    if wrong:
        raise ReleaseRefused(wrong)
    rows = release.golden.rows
    for count in WARM_UP_ROWS:
        release.predict([rows[i % len(rows)] for i in range(count)])
