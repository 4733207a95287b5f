"""A release in memory that can answer: session, schema, version and digest in one immutable object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from onnxruntime import InferenceSession

from pipeline.contract.bundle import Golden
from pipeline.contract.schema import RowError, RowsInvalid, Schema
from serving.errors import ServingError

Answers = Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class LoadedRelease:
    """What a request is answered with. A request takes one and uses it to the end.

    ``loaded_at`` is ISO time, UTC. Whoever holds a ``LoadedRelease`` may use it from any thread.
    """

    model: str
    version: int
    digest: str
    data_day: str
    loaded_at: str
    schema: Schema
    golden: Golden = field(repr=False)
    session: InferenceSession = field(repr=False)

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> Answers:
        """One array of shape (n,) for each output, in the schema's order and unit; every value is finite.

        Raises:
            RowsInvalid: rows do not fit the schema, or the model has no finite answer for them.
        """
        arrays = self.schema.arrays(rows)
        outputs = self.session.run(list(self.schema.outputs), arrays)
        answers = {name: np.reshape(found, -1) for name, found in zip(self.schema.outputs, outputs, strict=True)}
        _check(answers, len(rows))
        return answers


def _check(answers: Answers, count: int) -> None:
    for name, values in answers.items():
        if values.shape != (count,) or values.dtype != np.float64:
            raise ServingError(f"the model answered {name} as {values.dtype}{list(values.shape)} for {count} rows")
    finite = np.all([np.isfinite(values) for values in answers.values()], axis=0)
    if not finite.all():
        message = "the model has no finite answer for this row"
        raise RowsInvalid([RowError(int(row), "", "no_price", message) for row in np.flatnonzero(~finite)])
