"""serving/doors/v2.py as tritonclient's HTTP client speaks to it, with a server process of its own."""

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.serving import tiny
from tests.serving.process import serving, wait_for

YEARS, MAKES, GUIDES = [2013, np.nan, 1999], ["Ford", "", "Škoda 日本"], [22_400.0, 100.0, 0.1 + 1]
ROWS = [
    {"year": None if np.isnan(year) else year, "make": make or None, "guide": guide}
    for year, make, guide in zip(YEARS, MAKES, GUIDES, strict=True)
]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    root = tmp_path_factory.mktemp("v2") / "store"
    tiny.go(root, 1)
    with serving(root) as found:
        wait_for(lambda: found.ask("GET", "/readyz").status == 200)
        yield found


@pytest.fixture
def client(served):
    client = triton.InferenceServerClient(f"127.0.0.1:{served.port}")
    yield client
    client.close()


def given(name, values, datatype, dtype, binary=True):
    array = np.array(values, dtype).reshape(-1, 1)
    return triton.InferInput(name, array.shape, datatype).set_data_from_numpy(array, binary_data=binary)


def inputs(rows=3, binary=True):
    return [
        given("year", YEARS[:rows], "FP64", np.float64, binary),
        given("make", MAKES[:rows], "BYTES", object, binary),
        given("guide", GUIDES[:rows], "FP64", np.float64, binary),
    ]


def test_server_and_model_are_live_ready_and_described(client):
    """All that the client asks beside inferences."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("car_price")
    assert client.is_model_ready("car_price", "1")
    assert not client.is_model_ready("car_price", "2")
    assert not client.is_model_ready("other")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert [one["name"] for one in client.get_model_metadata("car_price")["outputs"]] == ["price", "low", "high"]


def test_binary_tensors_have_the_numbers_of_predict(client, served):
    """Floats, texts and what is not known, there and back."""
    found = client.infer("car_price", inputs(), request_id="7")
    expected = served.ask("POST", "/v1/predict", {"rows": ROWS}).document["predictions"]
    for name in ("price", "low", "high"):
        assert found.as_numpy(name).tolist() == [[row[name]] for row in expected]
    assert found.get_response()["id"] == "7"


def test_json_tensors_have_the_numbers_of_predict(client, served):
    """Without any binary data in either direction."""
    wanted = [triton.InferRequestedOutput(name, binary_data=False) for name in ("low", "price")]
    found = client.infer("car_price", inputs(1, binary=False), outputs=wanted, model_version="1")
    expected = served.ask("POST", "/v1/predict", {"rows": ROWS[:1]}).document["predictions"][0]
    assert [output["name"] for output in found.get_response()["outputs"]] == ["low", "price"]
    assert (found.as_numpy("low").item(), found.as_numpy("price").item()) == (expected["low"], expected["price"])
    assert found.as_numpy("high") is None


def test_json_and_binary_may_be_mixed(client):
    """Each output and each input as it is asked for."""
    wanted = [triton.InferRequestedOutput("price"), triton.InferRequestedOutput("low", binary_data=False)]
    year, make = given("year", [2000.0], "FP64", np.float64, False), given("make", ["Ford"], "BYTES", object)
    found = client.infer("car_price", [year, make, given("guide", [5], "INT16", np.int16)], outputs=wanted)
    assert (found.as_numpy("price").tolist(), found.as_numpy("low").tolist()) == ([[3_005]], [[2_905]])


@pytest.mark.parametrize("datatype", ["FP32", "FP16", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT64"])
def test_every_kind_of_number_is_taken(client, datatype):
    """As long as the numbers fit the column."""
    dtype = {"FP": "float", "IN": "int", "UI": "uint"}[datatype[:2]] + datatype.lstrip("FPINTU")
    found = client.infer("car_price", [given("guide", [100, 7], datatype, np.dtype(dtype))])
    assert found.as_numpy("price").tolist() == [[1_100], [1_007]]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("other", [given("guide", [1.0], "FP64", np.float64)]), "404", "the model here is car_price"),
        (
            ("car_price", [given("year", [1.0], "FP64", np.float64)]),
            "422",
            "row 0, year: must be between 1900 and 2100",
        ),
        (("car_price", [given("gide", [1.0], "FP64", np.float64)]), "422", "did you mean 'guide'?"),
        (("car_price", [given("guide", ["1"], "BYTES", object)]), "422", "the datatype of the input 'guide'"),
        (("car_price", [given("guide", [np.inf], "FP64", np.float64)]), "422", "must be a finite number"),
    ],
)
def test_errors_reach_the_client_in_its_own_words(client, arguments, status, message):
    """The client's exception has the status and the sentence that says what to do."""
    with pytest.raises(InferenceServerException) as error:
        client.infer(*arguments)
    assert error.value.status() == status
    assert message in error.value.message()


def test_compressed_bodies_are_refused(client):
    """A small body could become a very large one."""
    with pytest.raises(InferenceServerException, match="without Content-Encoding"):
        client.infer("car_price", inputs(), request_compression_algorithm="gzip")
