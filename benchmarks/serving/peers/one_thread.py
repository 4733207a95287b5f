"""The project's own loader for MLflow with one onnxruntime thread: its pool would leave the core of the server."""

import onnxruntime
from frame_model import FrameModel  # lies beside this file in the model's folder


def _load_pyfunc(path):  # noqa: ANN001, ANN202
    """MLflow calls this with the path of ``model.onnx``."""
    model = FrameModel(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return model
