"""What tutorials show: FastAPI, a pydantic model with a field a column, and onnxruntime in the handler.

``BENCH_HANDLER`` is ``def`` or ``async def``: tutorials have both.
"""

import os

from fastapi import FastAPI
from pydantic import BaseModel, create_model

from benchmarks.serving.peers.session import NUMERIC, predict

# the same class as one that is written out: one optional field a column
Car = create_model("Car", **{name: (float | None if number else str | None, None) for name, number in NUMERIC.items()})


class Price(BaseModel):
    price: float
    low: float
    high: float


app = FastAPI()


def one(car: Car) -> Price:
    return Price(**predict([car.model_dump()])[0])


def many(cars: list[Car]) -> list[Price]:
    return [Price(**answer) for answer in predict([car.model_dump() for car in cars])]


async def one_async(car: Car) -> Price:
    return one(car)


async def many_async(cars: list[Car]) -> list[Price]:
    return many(cars)


waiting = os.environ["BENCH_HANDLER"] == "async def"
app.post("/predict")(one_async if waiting else one)
app.post("/predict/batch")(many_async if waiting else many)
