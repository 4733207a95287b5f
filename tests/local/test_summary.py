"""The closing lines."""

import io
import json
import shlex

import pytest
from rich.console import Console

from local.keys import Keys
from local.layout import Ports, Stack, State
from local.summary import print_summary
from pipeline import datasets
from pipeline.contract.channel import Channel, Release, channel_key, release_prefix

RELEASE = Release(version=3, digest="a" * 64, data_day="2026-11-21")


@pytest.fixture
def stack(tmp_path):
    return Stack(State(tmp_path), Ports(serving=8123), "simulated:", "car_price")


def said(stack):
    out = io.StringIO()
    print_summary(stack, Keys("[secret]", "", "", "", ""), Console(file=out, width=60))
    return out.getvalue()


def publish(stack, metrics, *, with_baseline=True, source="folder"):
    schema = datasets.load("car_auctions").schema(with_baseline).to_dict()
    manifest = {"metrics": metrics, "schema": schema, "lineage": {"source": source}}
    for key, document in {
        channel_key("car_price"): Channel("car_price").with_champion(RELEASE).to_bytes(),
        release_prefix("car_price", 3) + "/manifest.json": json.dumps(manifest).encode(),
    }.items():
        file = stack.state.store / key
        file.parent.mkdir(parents=True)
        file.write_bytes(document)


def test_where_to_look_and_how_to_log_in(stack):
    """Before there is a model as well."""
    text = said(stack)
    assert "http://127.0.0.1:8080" in text
    assert "log in as admin with the password [secret]" in text
    assert "No release is live yet." in text


def test_the_error_beside_the_baselines(stack):
    """In the target's unit, with the day."""
    publish(stack, {"model": {"mae": 812.4}, "baseline": {"mae": 1066.9}, "reference": {"mae": 2100.2}})
    text = said(stack)
    assert "Version 3 is live (sales up to 2026-11-21)." in text
    assert "812 USD; beside it: the guide price 1,067, the median of similar ones 2,100." in text


def test_simulated_sales_are_called_so(stack):
    """Nobody shall take an invented market for a real one."""
    publish(stack, {"model": {"mae": 812.4}, "baseline": None, "reference": None}, source="simulated")
    assert "is live (simulated sales up to 2026-11-21)" in said(stack)


def test_a_dataset_without_a_baseline_has_no_rival(stack):
    """And the line is whole all the same."""
    publish(stack, {"model": {"mae": 812.4}, "baseline": None, "reference": None})
    assert "812 USD." in said(stack)


def test_the_curl_line_is_one_line_with_a_row_of_the_schema(stack):
    """So that it can be copied."""
    publish(stack, {"model": {"mae": 812.4}})
    words = shlex.split(said(stack).splitlines()[-1])
    assert words[:3] == ["curl", "-s", "http://127.0.0.1:8123/v1/predict"]
    (row,) = json.loads(words[words.index("-d") + 1])["rows"]
    assert row["make"] == "Ford"
    assert list(datasets.load("car_auctions").schema(True).arrays([row])) == list(row)
