"""Challenger and shadow in real server processes of two workers"""

import os
import signal
import threading

import grpc
import numpy as np
import onnx
import pytest
import tritonclient.http as triton_http
from onnx import TensorProto, helper, numpy_helper

from tests.serving import tiny
from tests.serving.doors.test_grpc_v2 import GRPCInferenceServiceStub, given, grpc_port, request
from tests.serving.process import TOKEN, serving, wait_for
from tests.serving.test_hot_reload import Tally, ask_until
from tests.serving.test_metrics import scrape

ADMIN = {"authorization": f"Bearer {TOKEN}"}
DEAR = 90_000


def fails_for_the_dear(version):
    """A release that answers its golden rows, and fails for a guide price above ``DEAR``."""
    model = onnx.load_from_string(tiny.onnx_model(version))
    nodes = {node.output[0]: node for node in model.graph.node}
    nodes["sum"].input.append("surcharge")
    place = list(model.graph.node).index(nodes["sum"])
    extra = [
        helper.make_node("Greater", ["guide_0", "dear"], ["is_dear"]),
        helper.make_node("Cast", ["is_dear"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["surcharges", "index"], ["surcharge"]),
    ]
    for node in reversed(extra):
        model.graph.node.insert(place, node)
    surcharges = numpy_helper.from_array(np.zeros(1), "surcharges")
    model.graph.initializer.extend([tiny.constant("dear", DEAR), surcharges])
    return tiny.bundle(version, model=model.SerializeToString())


@pytest.fixture
def releases(root):
    made = {version: tiny.publish(root, version) for version in (1, 2, 3)}
    return {**made, 9: tiny.publish(root, 9, fails_for_the_dear(9))}


def status(served):
    return served.ask("GET", "/v1/model").document


def by_worker(served):
    """What each worker says it has answered as champion and as challenger."""
    told = variants(served)["by_worker"]
    return {each["worker"]: tuple(each[role]["requests"] for role in ("champion", "challenger")) for each in told}


def variants(served):
    return served.ask("GET", "/v1/variants", headers=ADMIN).document


def holding(served, release=None, shadow=None):
    """Wait until all workers do."""
    wanted = [each and each.digest for each in (release, shadow)]
    wait_for(lambda: all([w["challenger"], w["shadow"]] == wanted and w["ready"] for w in status(served)["workers"]))


def price(served, guide=1_000, headers=None):
    return served.ask("POST", "/v1/predict", {"rows": [{**tiny.ROW, "guide": guide}]}, headers)


def test_a_share_is_honoured_and_sticky_whichever_worker_answers(root, releases):
    """Each key gets the same variant each time, and is told which; all requests are in the figures."""
    tiny.beside(root, 1, releases[1], releases[2], share=0.3)
    with serving(root, workers=2, poll_seconds=0.1) as served:
        holding(served, releases[2])
        seen = {}
        for i in range(2 * 300):
            key = f"user-{i % 300}"
            answer = price(served, 100 + i, {"x-gavel-sticky": key})
            variant = answer.headers["x-model-variant"]
            version = 2 if variant == "challenger" else 1
            assert (answer.document["variant"], answer.document["version"]) == (variant, version)
            assert answer.document["predictions"] == [tiny.expected(version, {**tiny.ROW, "guide": 100 + i})]
            assert seen.setdefault(key, variant) == variant
        share = list(seen.values()).count("challenger") / 300
        assert 0.2 < share < 0.4
        found = variants(served)
        samples = scrape(served)
    challenger, champion = found["challenger"], found["champion"]
    asked = list(seen.values()).count("challenger") * 2
    assert (challenger["requests"], challenger["errors"], challenger["share"]) == (asked, 0, 0.3)
    assert asked + champion["requests"] == 600
    assert (found["workers"], found["silent"], champion["workers"], challenger["workers"]) == (2, 0, 2, 2)
    assert challenger["seconds"]["count"] == asked
    assert challenger["answers"]["count"] == asked
    labels = (("variant", "challenger"), ("version", "2"))
    assert samples["gavel_variant_seconds_count", labels] == asked
    assert samples["gavel_variant_answer_sum", labels] == pytest.approx(challenger["answers"]["sum"])


def test_every_door_makes_the_same_choice(root, releases):
    """By the same header, over gRPC as metadata; V2 tells the variant among the parameters."""
    tiny.beside(root, 1, releases[1], releases[2])
    with serving(root, grpc_port=0, poll_seconds=0.1, cache="memory:") as served:
        holding(served, releases[2])
        with grpc.insecure_channel(f"127.0.0.1:{grpc_port(served)}") as channel:
            stub = GRPCInferenceServiceStub(channel)
            tensors = given("guide", [1_000.0], of=triton_http.InferInput)
            body, length = triton_http.InferenceServerClient.generate_request_body([tensors])
            for key in map(str, range(20)):
                sticky = {"x-gavel-sticky": key}
                wanted = price(served, headers=sticky).document["variant"]
                version = {"champion": "1", "challenger": "2"}[wanted]
                invoked = served.ask("POST", "/invocations", {"instances": [{"guide": 1_000}]}, sticky)
                inferred = served.ask(
                    "POST",
                    "/v2/models/car_price/infer",
                    bytes(body),
                    {**sticky, "inference-header-content-length": str(length)},
                )
                called, call = stub.ModelInfer.with_call(
                    request(("guide", "FP64", [1], {"fp64_contents": [1_000]})), metadata=tuple(sticky.items())
                )
                trailing = dict(call.trailing_metadata())
                assert (invoked.headers["x-model-variant"], invoked.headers["x-model-version"]) == (wanted, version)
                assert inferred.headers["x-model-variant"] == trailing["x-model-variant"] == wanted
                assert called.parameters["variant"].string_param == wanted
                assert called.model_version == trailing["x-model-version"] == version
                right = tiny.expected(int(version), {"guide": 1_000})
                assert invoked.document["predictions"] == [right]
                assert called.outputs[0].contents.fp64_contents[:] == [right["price"]]


def test_a_client_that_names_a_version_is_answered_by_it(root, releases):
    """Each time, by champion and challenger alike; any other version is not here."""
    tiny.beside(root, 1, releases[1], releases[2])
    with serving(root, poll_seconds=0.1) as served:
        holding(served, releases[2])
        body = {"inputs": [{"name": "guide", "datatype": "FP64", "shape": [1], "data": [1_000]}]}
        for version, wanted in ((1, 200), (2, 200), (3, 404)):
            address = f"/v2/models/car_price/versions/{version}"
            found = [served.ask("POST", f"{address}/infer", body, {"x-gavel-sticky": str(i)}) for i in range(10)]
            assert {each.status for each in found} == {wanted}
            assert served.ask("GET", address).status == wanted
        assert variants(served)["challenger"]["refused"] == 0


def test_a_worker_that_is_replaced_is_told_from_the_one_before_it(root, releases):
    """So that who adds up over hours counts what each has answered once; the other worker's figures go on."""
    tiny.beside(root, 1, releases[1], releases[2], share=0.5)
    with serving(root, workers=2, poll_seconds=0.1) as served:
        holding(served, releases[2])
        for i in range(40):
            price(served, 100 + i, {"x-gavel-sticky": f"user-{i}"})
        before = by_worker(served)
        assert len(before) == 2
        assert sum(map(sum, before.values())) == 40
        victim = status(served)["workers"][0]["pid"]
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: victim not in [each["pid"] for each in status(served)["workers"]])
        holding(served, releases[2])
        after = by_worker(served)
    (stayed,) = before.keys() & after.keys()
    (new,) = after.keys() - before.keys()
    assert (after[stayed], after[new]) == (before[stayed], (0, 0))


def test_who_asks_for_a_variant_gets_it(root, releases):
    """The pipeline asks so for its golden rows."""
    tiny.beside(root, 1, releases[1], releases[2], share=0.5)
    with serving(root, poll_seconds=0.1) as served:
        holding(served, releases[2])
        for variant, version in (("champion", 1), ("challenger", 2)):
            found = {price(served, 100 + i, {"x-model-variant": variant}).document["version"] for i in range(10)}
            assert found == {version}
        refused = price(served, 100, {"x-model-variant": "shadow"})
        assert (refused.status, refused.document["code"]) == (400, "bad_request")


def test_what_the_challenger_cannot_answer_the_champion_does(root, releases):
    """No client sees the failure; it is counted for whoever watches the canary, and is in the log once."""
    tiny.beside(root, 1, releases[1], releases[9], share=0.5)
    with serving(root, workers=2, poll_seconds=0.1) as served:
        holding(served, releases[9])
        for guide in (1_000, DEAR + 1):
            answers = [price(served, guide, {"x-gavel-sticky": str(i)}) for i in range(60)]
            assert {each.status for each in answers} == {200}
            for each in answers:
                row = {**tiny.ROW, "guide": guide}
                assert each.document["predictions"] == [tiny.expected(each.document["version"], row)]
            chosen = [each.document["variant"] for each in answers].count("challenger")
            if guide > DEAR:
                assert chosen == 0
            else:
                wanted = chosen
        found = variants(served)["challenger"]
        assert (found["requests"], found["errors"], found["answers"]["count"]) == (2 * wanted, wanted, wanted)
        assert 1 <= served.log.read_text().count("the challenger fails") <= 2


def test_promote_and_roll_back_under_load_fail_nothing_and_mix_nothing(root, releases):
    """Canary, promote, roll back, stop, again and again: every answer is of the release that it names."""
    tiny.beside(root, 1, releases[1])
    with serving(root, workers=2, poll_seconds=60) as served:
        wait_for(lambda: status(served)["ready"])
        stop, tallies = threading.Event(), [Tally() for _ in range(3)]
        arguments = [(stop, served, tally, [{**tiny.ROW, "guide": 500 + i}]) for i, tally in enumerate(tallies)]
        threads = [threading.Thread(target=ask_until, args=each) for each in arguments]
        for thread in threads:
            thread.start()
        for generation in range(2, 18, 4):
            tiny.beside(root, generation, releases[1], releases[2], share=0.5, shadow=releases[3])
            served.push()
            holding(served, releases[2], releases[3])
            tiny.beside(root, generation + 1, releases[2])
            assert served.push().document["digest"] == releases[2].digest
            tiny.beside(root, generation + 2, releases[2], releases[3], share=0.2)
            served.push()
            holding(served, releases[3])
            tiny.beside(root, generation + 3, releases[1])
            assert served.push().document["digest"] == releases[1].digest
        stop.set()
        for thread in threads:
            thread.join(20)
        assert "x-model-variant" not in price(served).headers
        assert "variant" not in price(served).document
    assert all(tally.asked > 10 for tally in tallies)
    assert not [(tally.failed, tally.mixed) for tally in tallies if tally.failed or tally.mixed]


def test_the_pairs_of_all_workers_are_handed_out(root, releases):
    """Every row once, with both answers, and not those of the challenger."""
    tiny.beside(root, 1, releases[1], releases[2], share=0.5, shadow=releases[3])
    with serving(root, workers=2, poll_seconds=0.1) as served:
        holding(served, releases[2], releases[3])
        answers = [price(served, 100 + i) for i in range(80)]
        guides = [100 + i for i, each in enumerate(answers) if each.document["variant"] == "champion"]

        def pairs():
            found = served.ask("GET", "/v1/pairs", headers=ADMIN).document
            return found["rows"] >= len(guides) and found

        found = wait_for(pairs)
        shadow = variants(served)["shadow"]
    assert sorted(pair["row"]["guide"] for pair in found["sample"]) == guides
    assert (found["workers"], found["dropped"], shadow["dropped"], shadow["requests"]) == (2, 0, 0, len(guides))
    for pair in found["sample"]:
        assert (pair["champion"], pair["shadow"]) == (tiny.expected(1, pair["row"]), tiny.expected(3, pair["row"]))
