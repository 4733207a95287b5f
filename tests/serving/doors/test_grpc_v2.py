"""serving/doors/grpc_v2.py and grpc_server.py, as tritonclient and grpc speak to a server process."""

import json
import subprocess
import sys
import warnings

import grpc
import numpy as np
import pytest
import tritonclient.http as triton_http

with warnings.catch_warnings():  # its generated code is older than the library
    warnings.simplefilter("ignore")
    import tritonclient.grpc as triton
    from tritonclient.grpc import service_pb2 as messages
    from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from tritonclient.utils import InferenceServerException

from serving import keys
from serving.doors.grpc_server import peer_address
from tests.serving import tiny
from tests.serving.process import REPOSITORY, command, free_port, serving, wait_for
from tests.serving.test_tls import write_pair

YEARS, MAKES, GUIDES = [2013, np.nan, 1999], ["Ford", "", "Škoda 日本"], [22_400.0, 100.0, 0.1 + 1]
ROWS = [
    {"year": None if np.isnan(year) else year, "make": make or None, "guide": guide}
    for year, make, guide in zip(YEARS, MAKES, GUIDES, strict=True)
]


def started(root, **settings):
    tiny.go(root, 1)
    return serving(root, grpc_port=settings.pop("grpc_port", free_port()), **settings)


def grpc_port(served):
    """From the log: where the server itself says that it listens."""
    lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    return next(line["port"] for line in lines if line["message"] == "listening for gRPC")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with started(tmp_path_factory.mktemp("grpc") / "store", grpc_port=0) as found:
        wait_for(lambda: found.ask("GET", "/readyz").status == 200)
        yield found


@pytest.fixture(scope="module")
def client(served):
    with triton.InferenceServerClient(f"127.0.0.1:{grpc_port(served)}") as found:
        yield found


@pytest.fixture(scope="module")
def stub(served):
    """The calls as they are."""
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port(served)}") as channel:
        yield GRPCInferenceServiceStub(channel)


def given(name, values, datatype="FP64", dtype=np.float64, of=triton.InferInput):
    array = np.array(values, dtype).reshape(-1, 1)
    return of(name, array.shape, datatype).set_data_from_numpy(array)


def inputs():
    return [given("year", YEARS), given("make", MAKES, "BYTES", object), given("guide", GUIDES)]


def request(*tensors, **more):
    found = messages.ModelInferRequest(model_name="car_price", **more)
    for name, datatype, shape, contents in tensors:
        found.inputs.add(name=name, datatype=datatype, shape=shape, contents=contents)
    return found


def refused(call, *arguments, **more):
    with pytest.raises(grpc.RpcError) as error:
        call(*arguments, **more)
    return error.value.code(), error.value.details(), dict(error.value.trailing_metadata())


def test_server_and_model_are_live_ready_and_described(client):
    """All that the client asks beside inferences."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("car_price", "1")
    assert client.get_server_metadata().extensions == ["binary_tensor_data"]
    model = client.get_model_metadata("car_price")
    assert (model.name, model.versions) == ("car_price", ["1"])
    assert [(t.name, t.datatype, list(t.shape)) for t in model.inputs][2:] == [
        ("make", "BYTES", [-1, 1]),
        ("guide", "FP64", [-1, 1]),
    ]
    assert [tensor.name for tensor in model.outputs] == ["price", "low", "high"]


def test_the_same_rows_have_the_same_numbers_through_every_door(client, served):
    """Predict, V2 as JSON, V2 in binary, and gRPC."""
    expected = served.ask("POST", "/v1/predict", {"rows": ROWS}).document["predictions"]
    tensors = [
        {"name": name, "datatype": kind, "shape": [3, 1], "data": [row[name] for row in ROWS]}
        for name, kind in (("year", "FP64"), ("make", "BYTES"), ("guide", "FP64"))
    ]
    as_json = served.ask("POST", "/v2/models/car_price/infer", {"inputs": tensors}).document["outputs"]
    arrays = [
        ("year", YEARS, "FP64", np.float64),
        ("make", MAKES, "BYTES", object),
        ("guide", GUIDES, "FP64", np.float64),
    ]
    with_http = triton_http.InferenceServerClient(f"127.0.0.1:{served.port}")
    as_binary = with_http.infer("car_price", [given(*array, of=triton_http.InferInput) for array in arrays])
    over_grpc = client.infer("car_price", inputs())
    for name in ("price", "low", "high"):
        numbers = [row[name] for row in expected]
        assert next(output["data"] for output in as_json if output["name"] == name) == numbers
        assert as_binary.as_numpy(name).ravel().tolist() == numbers
        assert over_grpc.as_numpy(name).tolist() == [[number] for number in numbers]
    with_http.close()


def test_the_answer_names_model_version_digest_and_id(client):
    """Outputs are those that were asked for, in their order."""
    wanted = [triton.InferRequestedOutput(name) for name in ("high", "low")]
    found = client.infer("car_price", inputs(), outputs=wanted, request_id="7", model_version="1").get_response()
    assert (found.model_name, found.model_version, found.id) == ("car_price", "1", "7")
    assert len(found.parameters["digest"].string_param) == 64
    assert [(output.name, output.datatype, list(output.shape)) for output in found.outputs] == [
        ("high", "FP64", [3, 1]),
        ("low", "FP64", [3, 1]),
    ]


def test_every_answer_names_the_release_in_trailing_metadata(stub):
    """Errors, too; these have their stable code there."""
    _, call = stub.ModelInfer.with_call(request(("guide", "FP64", [1], {"fp64_contents": [5.0]})))
    assert dict(call.trailing_metadata())["x-model-version"] == "1"
    *_, metadata = refused(stub.ModelInfer, request(("guide", "FP64", [1], {"fp64_contents": [-5.0]})))
    assert (metadata["x-model-version"], metadata["x-problem-code"]) == ("1", "rows_invalid")


@pytest.mark.parametrize(
    ("datatype", "contents"),
    [
        ("FP64", {"fp64_contents": [100, 7]}),
        ("FP32", {"fp32_contents": [100, 7]}),
        ("INT8", {"int_contents": [100, 7]}),
        ("INT64", {"int64_contents": [100, 7]}),
        ("UINT32", {"uint_contents": [100, 7]}),
        ("UINT64", {"uint64_contents": [100, 7]}),
    ],
)
def test_contents_are_answered_with_contents(stub, datatype, contents):
    """Whoever sends no raw tensors gets none; NaN and "" are not known."""
    makes = ("make", "BYTES", [2, 1], {"bytes_contents": ["Škoda".encode(), b""]})
    year = ("year", "FP64", [2], {"fp64_contents": [2000, float("nan")]})
    found = stub.ModelInfer(request(year, makes, ("guide", datatype, [2], contents)))
    assert not found.raw_output_contents
    assert list(found.outputs[0].contents.fp64_contents) == [3_100, 1_007]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("other", [given("guide", [1.0])]), "NOT_FOUND", "the model here is car_price; version 1 is live"),
        (("car_price", [given("guide", [1.0])], "2"), "NOT_FOUND", "version 1 is live"),
        (("car_price", [given("year", [1.0])]), "INVALID_ARGUMENT", "row 0, year: must be between 1900 and 2100"),
        (("car_price", [given("gide", [1.0])]), "INVALID_ARGUMENT", "did you mean 'guide'?"),
        (("car_price", [given("guide", ["1"], "BYTES", object)]), "INVALID_ARGUMENT", "the datatype of the input"),
        (("car_price", [given("guide", [np.inf])]), "INVALID_ARGUMENT", "must be a finite number"),
        (("car_price", [given("guide", [1.0] * 1_001)]), "INVALID_ARGUMENT", "at most 1000 fit"),
        (("car_price", []), "INVALID_ARGUMENT", "at least one row"),
    ],
)
def test_errors_reach_the_client_in_its_own_words(client, arguments, status, message):
    """The client's exception has the status code and the sentence that says what to do."""
    with pytest.raises(InferenceServerException) as error:
        client.infer(*arguments)
    assert error.value.status() == f"StatusCode.{status}"
    assert message in error.value.message()


HOSTILE = {
    "no data": (("guide", "FP64", [1], {}), ()),
    "another number of values": (("guide", "FP64", [1], {"fp64_contents": [1, 2]}), ()),
    "values of another kind": (("guide", "FP64", [1], {"int64_contents": [1]}), ()),
    "negative": (("guide", "FP64", [-1], {"fp64_contents": [1]}), ()),
    "huge": (("guide", "FP64", [(1 << 63) - 1], {"fp64_contents": [1]}), ()),
    "overflowing": (("guide", "FP64", [1 << 62, 1 << 62], {"fp64_contents": [1]}), ()),
    "no dimension": (("guide", "FP64", [], {"fp64_contents": [1]}), ()),
    "BOOL": (("guide", "BOOL", [1], {"bool_contents": [True]}), ()),
    "no datatype": (("guide", "", [1], {}), ()),
    "not UTF-8": (("make", "BYTES", [1], {"bytes_contents": [b"\xff"]}), ()),
    "NUL": (("make", "BYTES", [1], {"bytes_contents": [b"a\0b"]}), ()),
    "raw too short": (("guide", "FP64", [1], {}), (b"\0" * 7,)),
    "raw too long": (("guide", "FP64", [1], {}), (b"\0" * 16,)),
    "raw for nobody": (("guide", "FP64", [1], {}), (b"\0" * 8, b"\0" * 8)),
    "raw text cut off": (("make", "BYTES", [1], {}), (b"\x05\0\0\0For",)),
    "raw text of 4 GB": (("make", "BYTES", [1], {}), (b"\xff\xff\xff\xff",)),
}


@pytest.mark.parametrize(("tensor", "raw"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_tensor_that_lies_is_the_clients_error(stub, tensor, raw):
    """No shape, datatype or data makes it anything else."""
    code, details, _ = refused(stub.ModelInfer, request(tensor, raw_input_contents=raw))
    assert (code, bool(details)) == (grpc.StatusCode.INVALID_ARGUMENT, True)


def test_what_is_no_message_is_the_clients_error(served):
    """Nor does a message that nobody can read; other methods than those of the protocol are not there."""
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port(served)}") as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        code, details, _ = refused(call, b"\xff\xff\xff")
        assert (code, "cannot be read" in details) == (grpc.StatusCode.INVALID_ARGUMENT, True)
        assert refused(channel.unary_unary("/inference.GRPCInferenceService/Other"), b"")[0].name == "UNIMPLEMENTED"


def test_large_and_compressed_messages_are_refused(client, stub):
    """More bytes than a body may have; a small message could become a very large one."""
    make = ("make", "BYTES", [1], {"bytes_contents": [b"a" * (1 << 20)]})
    assert refused(stub.ModelInfer, request(make))[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(InferenceServerException, match="UNIMPLEMENTED"):
        client.infer("car_price", inputs(), compression_algorithm="gzip")


def test_the_log_stays_json_whatever_clients_send(client, served):
    """The library's own core writes nothing beside it."""
    with pytest.raises(InferenceServerException):
        client.infer("car_price", inputs(), compression_algorithm="gzip")
    assert [json.loads(line)["message"] for line in served.log.read_text().splitlines()]


def test_the_standard_health_check_is_answered(served):
    """grpc.health.v1, which orchestrators probe; 1 is SERVING."""
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port(served)}") as channel:
        assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"") == b"\x08\x01"


def test_calls_are_counted_under_their_door(client, served):
    """Requests by the HTTP status of the same outcome, and rows."""
    client.infer("car_price", inputs())
    figures = served.ask("GET", "/metrics").body.decode()
    assert 'gavel_requests_total{door="grpc",status="200"}' in figures
    assert 'gavel_requests_total{door="grpc",status="422"}' in figures
    assert 'gavel_rows_total{door="grpc"}' in figures


def test_without_a_release_it_lives_and_is_not_ready(root):
    """Readiness is an answer; everything else is UNAVAILABLE until there is a release."""
    with serving(root, grpc_port=0) as served:
        channel = grpc.insecure_channel(f"127.0.0.1:{grpc_port(served)}")
        stub = GRPCInferenceServiceStub(channel)
        assert stub.ServerLive(messages.ServerLiveRequest()).live
        assert not stub.ServerReady(messages.ServerReadyRequest()).ready
        assert not stub.ModelReady(messages.ModelReadyRequest(name="car_price")).ready
        assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"") == b"\x08\x02"
        code, details, metadata = refused(stub.ModelInfer, request(("guide", "FP64", [1], {"fp64_contents": [1]})))
        assert (code, details) == (grpc.StatusCode.UNAVAILABLE, "no release has gone live here yet")
        assert metadata["retry-after"] == "1"
        channel.close()


def test_callers_are_asked_who_they_are_and_how_often(root):
    """Health is open; the rest wants a key, and no more calls than are allowed."""
    credentials = root.parent / "credentials.json"
    key = keys.add(credentials, "robot", "predict")
    settings = {"auth": "required", "credentials": credentials, "rate_limit": "2/hour"}
    with started(root, grpc_port=0, **settings) as served:
        channel = grpc.insecure_channel(f"127.0.0.1:{grpc_port(served)}")
        stub, asked = GRPCInferenceServiceStub(channel), request(("guide", "FP64", [1], {"fp64_contents": [1]}))
        wait_for(lambda: "x-model-version" in served.ask("GET", "/livez").headers)
        code, details, _ = refused(stub.ModelInfer, asked)
        assert (code, "x-api-key" in details) == (grpc.StatusCode.UNAUTHENTICATED, True)
        for header in (("x-api-key", key), ("authorization", f"Bearer {key}")):
            assert stub.ModelInfer(asked, metadata=[header]).model_version == "1"
        code, _, metadata = refused(stub.ModelInfer, asked, metadata=[("x-api-key", key)])
        assert (code, int(metadata["retry-after"]) > 0) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)
        channel.close()


def test_it_speaks_tls_with_the_certificate_of_http(root):
    """Whoever trusts the certificate comes in; without TLS nobody does."""
    certificate, key = write_pair(root.parent, "one")
    settings = {"tls_certificate": certificate, "tls_key": key, "grpc_port": free_port()}
    tiny.go(root, 1)
    with subprocess.Popen(**command(store=f"file:{root}", port=free_port(), **settings)) as process:
        credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
        asked = request(("guide", "FP64", [1], {"fp64_contents": [1]}))
        with grpc.secure_channel(f"127.0.0.1:{settings['grpc_port']}", credentials) as channel:
            found = GRPCInferenceServiceStub(channel).ModelInfer(asked, wait_for_ready=True, timeout=20)
        with grpc.insecure_channel(f"127.0.0.1:{settings['grpc_port']}") as channel:
            code, *_ = refused(GRPCInferenceServiceStub(channel).ModelInfer, asked)
        process.terminate()
    assert (found.model_version, code) == ("1", grpc.StatusCode.UNAVAILABLE)


def test_without_a_port_the_library_is_not_even_imported():
    """Its memory is for those who use it."""
    code = "import sys, serving.app, serving.start; print({'grpc', 'serving.doors.grpc_v2'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"


def test_several_workers_share_the_port(root):
    """Every connection is answered by some worker."""
    port = free_port()
    with started(root, grpc_port=port, workers=2) as served:
        wait_for(lambda: served.ask("GET", "/readyz").status == 200)
        wait_for(lambda: served.log.read_text().count("listening for gRPC") == 2)
        for _ in range(8):
            with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
                assert client.infer("car_price", inputs()).as_numpy("price").shape == (3, 1)


def test_a_process_that_is_told_to_stop_answers_until_the_end(root):
    """While it drains it says that it is not ready and goes on answering; then it ends well."""
    with started(root, grpc_port=0, drain_seconds=1) as served:
        wait_for(lambda: served.ask("GET", "/readyz").status == 200)
        with triton.InferenceServerClient(f"127.0.0.1:{grpc_port(served)}") as client:
            assert client.is_server_ready()
            served.process.terminate()
            wait_for(lambda: not client.is_server_ready(), 1)
            assert client.infer("car_price", inputs()).get_response().model_version == "1"
        assert served.process.wait(10) == 0


def test_a_port_that_is_taken_ends_the_process(root, served):
    """It does not run without the door that was asked for; the log says which setting to change."""
    environment = command(store=f"file:{root}", port=free_port(), grpc_port=served.port)
    found = subprocess.run(**environment, capture_output=True, text=True, timeout=30, check=False)
    assert found.returncode != 0
    assert "SERVING_GRPC_PORT" in found.stderr


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:5", "127.0.0.1"),
        ("ipv6:%5B::1%5D:5", "::1"),
        ("ipv6:[fe80::1%25eth0]:5", "fe80::1%eth0"),
        ("unix:/tmp/socket", None),
    ],
)
def test_who_is_not_named_is_known_by_address(peer, address):
    """What is throttled is the address, not the connection."""
    assert peer_address(peer) == address
