"""Prints what is live and what there is: the channel, what is wrong with the ledger, every release, every replica, the price that each version says."""

import json
import os

import pandas as pd
import requests

from pipeline.addresses import addresses
from pipeline.contract.channel import release_prefix
from pipeline.releases import read_channel, read_release
from pipeline.releases.history import verify
from pipeline.scoring import Scorer
from pipeline.settings import read_settings
from pipeline.store import open_store

MODEL = "car_price"

settings = read_settings()
store = open_store(settings.store, read_only=True)
keys = list(store.keys("releases/"))
versions = sorted({int(key.split("/")[2]) for key in keys})
bundles = {version: read_release(store, MODEL, version) for version in versions}
row = next((dict(bundles[version].golden.rows[0]) for version in versions), None)


def price(bundle):
    schema = bundle.manifest.schema
    frame = pd.DataFrame({name: values[:, 0] for name, values in schema.arrays([row]).items()})
    return float(Scorer(bundle.model, schema).predict(frame)[0, 0])


def status(url):
    headers = {"Authorization": f"Bearer {os.environ['GAVEL_PUSH_TOKEN']}"}
    try:
        found = requests.get(f"{url}/v1/model", headers=headers, timeout=5).json()
        return {name: found[name] for name in ("version", "digest", "ready", "generation")}
    except (requests.RequestException, ValueError, KeyError) as error:
        return {"trouble": str(error)}


channel = read_channel(store, MODEL).channel
champion = channel.champion
whole = all(len([k for k in keys if k.startswith(f"{release_prefix(MODEL, v)}/")]) >= 3 for v in versions)
print(
    json.dumps(
        {
            "champion": champion and [champion.version, champion.digest],
            "quarantined": list(channel.quarantined),
            "ledger": verify(store, MODEL),
            "releases": {v: [b.digest, b.manifest.data_day, price(b)] for v, b in bundles.items()},
            "whole": whole,
            "row": row,
            "replicas": [status(url) for url in addresses(settings.serving_urls)],
            "partitions": sorted(store.keys("partitions/")),
        }
    )
)
