"""The closing lines."""

import io
import json
import shlex
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from local import keys
from local.layout import Ports, Stack, State
from local.run import places
from local.summary import Places, print_summary
from pipeline import datasets
from pipeline.contract import bundle as bundles
from pipeline.contract.bundle import Golden
from pipeline.contract.channel import Channel, Release, channel_key, release_prefix
from pipeline.store import open_store

PLACES = Places("http://a:8080", "http://m:5000", "http://s:8123", "admin", "[secret]", "car_price")


@pytest.fixture
def store(tmp_path):
    return open_store(f"file:{tmp_path}/store")


def said(store, places=PLACES):
    out = io.StringIO()
    print_summary(places, store.uri, Console(file=out, width=60))
    return out.getvalue()


def publish(store, metrics, *, source="folder"):
    bundle = bundles.build(
        b"model", Golden(({},), ({},)), model_name="car_price", data_day="2026-11-21", fingerprint="f", metrics=metrics,
        schema=datasets.load("car_auctions").schema(True), lineage={"source": source},
    )  # fmt: skip
    store.publish(release_prefix("car_price", 3), bundle.files, last=bundles.MANIFEST)
    name_live(store, bundle.digest)


def name_live(store, digest):
    channel = Channel("car_price").with_champion(Release(version=3, digest=digest, data_day="2026-11-21"))
    store.replace(channel_key("car_price"), channel.to_bytes(), None)


def test_where_to_look_and_how_to_log_in(store):
    """Before there is a model as well."""
    text = said(store)
    for url in ("http://a:8080 ", "http://m:5000/#/models/car_price\n", "http://s:8123/docs\n"):
        assert url in text
    assert "log in as admin with the password [secret]" in text
    assert "No release is live yet." in text


def test_the_error_beside_the_baselines(store):
    """In the target's unit, with the day."""
    publish(store, {"model": {"mae": 812.4}, "baseline": {"mae": 1066.9}, "reference": {"mae": 2100.2}})
    text = said(store)
    assert "Version 3 is live (sales up to 2026-11-21)." in text
    assert "812 USD; beside it: the guide price 1,067, the median of similar ones 2,100." in text


def test_simulated_sales_are_called_so(store):
    """Nobody shall take an invented market for a real one."""
    publish(store, {"model": {"mae": 812.4}, "baseline": None, "reference": None}, source="simulated")
    assert "is live (simulated sales up to 2026-11-21)" in said(store)


def test_a_dataset_without_a_baseline_has_no_rival(store):
    """And the line is whole all the same."""
    publish(store, {"model": {"mae": 812.4}, "baseline": None, "reference": None})
    assert "812 USD." in said(store)


def test_the_curl_line_is_one_line_with_a_row_of_the_schema(store):
    """So that it can be copied."""
    publish(store, {"model": {"mae": 812.4}})
    words = shlex.split(said(store).splitlines()[-1])
    assert words[:3] == ["curl", "-s", "http://s:8123/v1/predict"]
    (row,) = json.loads(words[words.index("-d") + 1])["rows"]
    assert row["make"] == "Ford"
    assert list(datasets.load("car_auctions").schema(True).arrays([row])) == list(row)


def test_the_curl_line_shows_the_key_where_one_is_asked_for(store):
    """As one word for the shell; nobody else is told of keys."""
    publish(store, {"model": {"mae": 812.4}})
    words = shlex.split(said(store, replace(PLACES, api_key="a b$c")).splitlines()[-1])
    assert words[words.index("-H") + 1] == "x-api-key: a b$c"
    assert "x-api-key" not in said(store)


def test_a_release_that_cannot_be_read_is_a_sentence(store):
    """The addresses are told all the same."""
    name_live(store, "a" * 64)
    text = said(store)
    assert "http://a:8080" in text
    assert "Version 3 ought to be live, but its release cannot be read: " in text
    assert "curl" not in text


def test_what_is_printed_for_debugging_has_no_secrets():
    """Such as in a stack trace with local variables."""
    assert "secret" not in repr(replace(PLACES, api_key="secret"))


def test_the_store_is_only_read(tmp_path):
    """It is somebody else's, and need not be there."""
    assert "No release is live yet." in said(SimpleNamespace(uri=f"file:{tmp_path}/none"))
    assert list(tmp_path.iterdir()) == []


def test_the_places_of_the_local_stack(tmp_path):
    """Its ports, and the password that it made; serving there asks for no key."""
    state = State(tmp_path)
    state.make()
    found = places(Stack(state, Ports(1, 2, 3), "simulated:", "car_price"))
    made = keys.read_or_make(state).password
    urls = ("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3")
    assert found == Places(*urls, "admin", made, "car_price")
