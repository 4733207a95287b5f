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
from serving.batch import Batch
from serving.errors import ServingError
from serving.notes import Observer
from serving.row_decoder import RowDecoder

Answers = Mapping[str, npt.NDArray[np.float64]]
AnswerTable = npt.NDArray[np.float64]  # (rows, outputs of the schema)


@dataclass(frozen=True, slots=True)
class LoadedRelease:
    """What a request is answered with. A request takes one and uses it to the end.

    Whoever holds one may use it from any thread.
    """

    model: str
    version: int
    digest: str
    data_day: str
    schema: Schema
    golden: Golden = field(repr=False)
    session: InferenceSession = field(repr=False)
    decoder: RowDecoder = field(init=False, repr=False)
    observer: Observer = field(init=False, repr=False)
    headers: tuple[tuple[bytes, bytes], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        named = ((b"x-model-version", str(self.version).encode()), (b"x-model-digest", self.digest.encode()))
        object.__setattr__(self, "headers", named)
        object.__setattr__(self, "decoder", RowDecoder(self.schema))
        object.__setattr__(self, "observer", Observer(self.schema))

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> Answers:
        """One array of shape (n,) for each output, in the schema's order and unit; every value is finite.

        Raises:
            RowsInvalid: rows do not fit the schema, or the model has no finite answer for them.
        """
        table = self.run(Batch.of(self.schema.arrays(rows), len(rows)))
        check_finite(table)
        return dict(zip(self.schema.outputs, table.T, strict=True))

    def run(self, batch: Batch) -> AnswerTable:
        """One row of answers for each row of the batch; they may be NaN or infinite."""
        outputs = self.session.run(self.schema.outputs, batch.arrays(self.schema))
        for name, values in zip(self.schema.outputs, outputs, strict=True):
            if values.size != batch.count or values.dtype != np.float64:
                raise ServingError(
                    f"the model answered {name} as {values.dtype}{list(values.shape)} for {batch.count} rows"
                )
        return np.column_stack([np.reshape(values, -1) for values in outputs])


def check_finite(table: AnswerTable) -> None:
    """Raises ``RowsInvalid`` for the rows that the model has no finite answer to."""
    if not np.isfinite(table).all():
        message = "the model has no finite answer for this row"
        rows = np.flatnonzero(~np.isfinite(table).all(axis=1))
        raise RowsInvalid([RowError(int(row), "", "no_price", message) for row in rows])
