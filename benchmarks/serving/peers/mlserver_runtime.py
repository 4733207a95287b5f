"""MLServer's custom runtime as its documentation has it: a class that loads and predicts, with its own codecs."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.serving.peers.session import NUMERIC, OUTPUTS, array, session


class Price(MLModel):
    async def load(self) -> bool:
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        feed = {}
        for tensor in payload.inputs:
            codec = NumpyCodec if NUMERIC[tensor.name] else StringCodec
            feed[tensor.name] = array(tensor.name, codec.decode_input(tensor))
        answers = zip(OUTPUTS, session.run(OUTPUTS, feed), strict=True)
        outputs = [NumpyCodec.encode_output(name, np.asarray(values)) for name, values in answers]
        return InferenceResponse(model_name=self.name, outputs=outputs)
