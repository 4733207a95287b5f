"""The schemas of what ``/v1/trial``, ``/v1/variants`` and ``/v1/pairs`` take and answer, for the OpenAPI document."""

from __future__ import annotations

from serving.openapi_parts import Document, object_of, ref

TEXT, NUMBER = {"type": "string"}, {"type": "number"}
COUNT = {"type": "integer", "minimum": 0}
DIGEST = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
NULL = {"type": "null"}
MAYBE = {"type": ["number", "null"]}


def variant_schemas() -> Document:
    return {
        "TrialRequest": {
            **object_of(version={"type": "integer", "minimum": 1}, digest=DIGEST, candidate={"type": "boolean"}),
            "additionalProperties": False,
        },
        "Tried": object_of(
            digest=DIGEST,
            answers={"type": "array", "items": {"type": "object", "additionalProperties": NUMBER}},
            problem={"type": ["string", "null"], "description": "why it may not go live"},
        ),
        "Variant": _variant(),
        "WorkerVariants": object_of(worker=TEXT, champion=_maybe(), challenger=_maybe()),
        "Variants": object_of(
            model=TEXT,
            workers=COUNT,
            silent=COUNT,
            champion=_maybe(),
            challenger=_maybe(),
            shadow=_maybe(),
            by_worker={"type": "array", "items": ref("WorkerVariants")},
        ),
        "Pair": object_of(row={"type": "object"}, champion={"type": "object"}, shadow={"type": "object"}, at=TEXT),
        "Pairs": _pairs(),
    }


def _maybe() -> Document:
    return {"anyOf": [ref("Variant"), NULL]}


def _variant() -> Document:
    seconds = object_of(count=COUNT, sum=NUMBER, p50=MAYBE, p90=MAYBE, p99=MAYBE, buckets={"type": "array"})
    answers = object_of(count=COUNT, mean=MAYBE, variance=MAYBE, sum=NUMBER, squares=NUMBER)
    counts = dict.fromkeys(("requests", "refused", "errors"), COUNT)
    variant = object_of(version=COUNT, digest=DIGEST, since=TEXT, **counts, seconds=seconds, answers=answers)
    variant["properties"] |= {"workers": COUNT, "share": NUMBER, "dropped": COUNT}
    return variant


def _pairs() -> Document:
    some = {"type": "array", "items": ref("Pair")}
    pairs = object_of(workers=COUNT, shadow={"type": ["object", "null"]}, rows=COUNT, sample=some, worst=some)
    pairs["properties"] |= dict.fromkeys(("silent", "requests", "errors", "dropped"), COUNT)
    pairs["properties"]["champion"] = {"type": "object"}
    return pairs
