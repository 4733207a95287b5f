"""serving/openapi.py"""

import json

from serving.app import DOORS, ROUTES
from serving.openapi import openapi


def references(document):
    if isinstance(document, dict):
        yield from [document["$ref"]] if "$ref" in document else []
        document = list(document.values())
    if isinstance(document, list):
        for part in document:
            yield from references(part)


def test_every_reference_leads_somewhere(loaded):
    """With and without a release the document is whole."""
    for release in (None, loaded):
        document = openapi("car_price", release, DOORS)
        for reference in references(document):
            place = document
            for part in reference.removeprefix("#/").split("/"):
                place = place[part]


def test_every_address_is_in_the_document():
    """No route is forgotten but the pages of the documentation itself."""
    paths = openapi("car_price", None, DOORS)["paths"]
    routes = {route.path: route.methods - {"HEAD"} for route in ROUTES if route.path not in {"/docs", "/openapi.json"}}
    assert {path: {method.upper() for method in item} for path, item in paths.items()} == routes


def test_the_columns_and_outputs_of_the_live_release_are_in_it(loaded):
    """Columns, example and unit come from the release."""
    schemas = openapi("car_price", loaded, DOORS)["components"]["schemas"]
    assert list(schemas["Row"]["properties"]) == ["year", "miles", "make", "guide"]
    assert schemas["PredictRequest"]["examples"][0]["rows"][0]["make"] == "Ford"
    assert schemas["Prediction"]["properties"]["low"] == {"type": "number", "description": "USD"}


def test_it_is_json(loaded):
    """Nothing in it needs an encoder of its own."""
    assert json.loads(json.dumps(openapi("car_price", loaded, DOORS)))["openapi"] == "3.1.0"
