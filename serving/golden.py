"""Does a release still answer its recorded requests as recorded? Asked before it goes live, and by readiness."""

from __future__ import annotations

import math

from serving.release import LoadedRelease

# A release states its own tolerance; one that allows more than this is not tested by its golden rows at all.
MAX_TOLERANCE = 0.01


def mismatch(release: LoadedRelease, count: int | None = None) -> str | None:
    """What is wrong with the answers to the first ``count`` golden rows (all by default); ``None`` if nothing."""
    golden = release.golden
    if not 0 <= golden.tolerance <= MAX_TOLERANCE:
        return f"golden.json allows a relative difference of {golden.tolerance:g}; at most {MAX_TOLERANCE:g} is sane"
    answers = release.predict(golden.rows[:count])
    for row, expected in enumerate(golden.answers[:count]):
        for name, values in answers.items():
            if not math.isclose(values[row], expected[name], rel_tol=golden.tolerance, abs_tol=1e-9):
                return f"golden row {row}: {name} is {values[row]:.10g}, recorded was {expected[name]:.10g}"
    return None
