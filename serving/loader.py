"""From the bytes of a release to a ``LoadedRelease`` that has already answered, or a refusal with the reason.

Everything here runs in this process: ``trial.py`` calls it in a child first. Not here: which release is wanted, what is
live, what a graph may hold (``graph_check.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import onnxruntime

from pipeline.contract import bundle as bundles
from pipeline.contract.bundle import Bundle, BundleInvalid
from pipeline.contract.channel import Release
from serving import golden
from serving.errors import ReleaseRefused
from serving.graph_check import check_graph
from serving.release import LoadedRelease

# Only the first run of a size is slow. What memory a large one takes is for the trial to find out.
WARM_UP_ROWS = (1, 64)
TRIAL_ROWS = (*WARM_UP_ROWS, 256)
MAX_REASON = 500


def load(model: str, release: Release, files: Mapping[str, bytes]) -> LoadedRelease:
    """All checks in their order: checksums, graph, session from the verified bytes, golden rows, warm-up.

    Raises:
        ReleaseRefused: a check failed; the message says which.
    """
    bundle = verify(model, release, files)
    with _refusing():
        check_graph(bundle.model, bundle.manifest.schema)
    return start(release, bundle, TRIAL_ROWS)


def attempt(model: str, release: Release, files: Mapping[str, bytes]) -> list[dict[str, float]]:
    """The answers to the golden rows after all checks. Raises ``ReleaseRefused``."""
    loaded = load(model, release, files)
    answers = loaded.predict(loaded.golden.rows)
    return [
        dict(zip(answers, row, strict=True)) for row in zip(*(each.tolist() for each in answers.values()), strict=True)
    ]


def verify(model: str, release: Release, files: Mapping[str, bytes]) -> Bundle:
    """The bundle of ``files`` when it is the one that ``release`` names, of ``model``, to the last byte.

    Raises:
        ReleaseRefused: it is not.
    """
    with _refusing():
        bundle = bundles.read(files, release.digest)
        if bundle.manifest.model_name != model:
            raise ReleaseRefused(f"the release is of the model {bundle.manifest.model_name!r}, not {model!r}")
        return bundle


def start(release: Release, bundle: Bundle, sizes: Sequence[int] = WARM_UP_ROWS) -> LoadedRelease:
    """A verified and checked bundle as something that has answered its golden rows.

    Raises:
        ReleaseRefused: it cannot be loaded, or answers otherwise than recorded.
    """
    with _refusing():
        manifest = bundle.manifest
        loaded = LoadedRelease(
            manifest.model_name,
            release.version,
            release.digest,
            manifest.data_day,
            manifest.schema,
            bundle.golden,
            _session(bundle.model),
        )
        _prove(loaded, sizes)
        return loaded


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (ReleaseRefused, BundleInvalid) as error:
        raise ReleaseRefused(_one_line(str(error))) from error
    except Exception as error:  # whatever a strange model makes onnxruntime raise, it is the release's fault
        raise ReleaseRefused(_one_line(f"the model cannot be loaded: {type(error).__name__}: {error}")) from error


def _one_line(reason: str) -> str:
    """Names in a model may hold anything and have any length."""
    return " ".join("".join(c if c.isprintable() else " " for c in reason[: 2 * MAX_REASON]).split())[:MAX_REASON]


def _session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # many requests at once use the cores better than many threads for one
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong comes as an exception
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    session.disable_fallback()
    session._model_bytes = None  # noqa: SLF001  kept for the fallback only (its authors: "this is bad")
    return session


def _prove(release: LoadedRelease, sizes: Sequence[int]) -> None:
    wrong = golden.mismatch(release)
    if wrong:
        raise ReleaseRefused(wrong)
    rows = release.golden.rows
    for count in sizes:
        release.predict([rows[i % len(rows)] for i in range(count)])
