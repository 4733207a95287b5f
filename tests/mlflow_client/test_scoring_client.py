"""serving/doors/invocations.py, asked by MLflow's own client; the server runs where MLflow is not installed."""

import json

import numpy as np
import pandas as pd
import pytest

from pipeline.frame_model import FrameModel
from tests.serving import tiny
from tests.serving.process import REPOSITORY, serving

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType")  # MLflow's, of itself

FRAME = pd.DataFrame(
    {"year": [2013, np.nan, 2001], "make": ["Ford", None, 'é "漢"'], "guide": [22_400, 5_000.5, 100]},
    index=["a", "b", "c"],
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("scoring") / "store"
    root.mkdir()
    tiny.go(root, 1)
    return root


@pytest.fixture(scope="module")
def client(store):
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.executable", str(REPOSITORY / ".venv-serving" / "bin" / "python"))
        with serving(store) as served:
            client = ScoringServerClient("127.0.0.1", served.port)
            client.wait_server_ready(timeout=20)
            yield client


def test_a_frame_gets_the_prices_that_mlflow_itself_would_give(client, store):
    """With missing numbers and texts and an index of its own, the answer equals the pyfunc model's, number for number."""
    wanted = FrameModel(str(next(store.glob("**/model.onnx")))).predict(FRAME).reset_index(drop=True)
    pd.testing.assert_frame_equal(client.invoke(FRAME).get_predictions(), wanted, check_exact=True)


@pytest.mark.parametrize("orient", ["split", "records", "list"])
def test_every_orientation_of_pandas_is_read(client, orient):
    """What pandas writes, put into MLflow's envelope, is answered like the frame."""
    name = {"split": "dataframe_split", "records": "dataframe_records", "list": "inputs"}[orient]
    body = json.dumps({name: FRAME.to_dict(orient=orient)})
    assert client.invoke(body) == client.invoke(FRAME)


def test_rows_as_a_list_are_read(client):
    """The client sends a list as "inputs"."""
    assert client.invoke([{"guide": 100}])["predictions"] == [tiny.expected(1, {"guide": 100})]


def test_an_error_tells_the_client_what_is_wrong(client):
    """The exception that the client raises has MLflow's code and the nearest name in it."""
    with pytest.raises(Exception, match=r"error code 422.*did you mean 'guide'.*\"error_code\":\"BAD_REQUEST\""):
        client.invoke(FRAME.rename(columns={"guide": "gide"}))
    with pytest.raises(Exception, match="params must be left out"):
        client.invoke(FRAME, params={"temperature": 1})


def test_the_version_is_a_text(client):
    """The client takes what comes."""
    assert client.get_version() == "gavel/1"
