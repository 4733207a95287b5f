"""BentoML as its documentation begins: a service class with an API that takes and gives typed values."""

import bentoml
import pandas as pd

from benchmarks.serving.peers.session import predict


@bentoml.service(workers=1)
class Price:
    @bentoml.api
    def predict(self, rows: pd.DataFrame) -> list[dict]:
        return predict(rows.astype(object).where(rows.notna(), None).to_dict("records"))
