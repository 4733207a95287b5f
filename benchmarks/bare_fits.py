"""The same fits as one run of the DAG, as a bare script would make them: no store, no Airflow, no ONNX, no MLflow.

    python benchmarks/bare_fits.py FILE.parquet LAST_DAY WINDOW_DAYS

prints the seconds it took from the first line to the last, as one JSON object.
"""

import json
import sys
import time

start = time.monotonic()

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from pipeline import datasets  # noqa: E402
from pipeline.cleaning import DAY, clean, for_training  # noqa: E402
from pipeline.metrics import measure  # noqa: E402
from pipeline.preprocess import Options, build_transformer, relative_target, split_days  # noqa: E402
from pipeline.train import candidates, interval_model  # noqa: E402


def main(path: str, last: str, window_days: int) -> None:
    dataset, options = datasets.load("car_auctions"), Options()
    raw = pd.read_parquet(path)
    raw[DAY] = raw["saledate"].dt.strftime("%Y-%m-%d")
    first = (pd.Timestamp(last) - pd.Timedelta(days=window_days - 1)).strftime("%Y-%m-%d")
    rows, _ = clean(dataset, raw[raw[DAY].between(first, last)].reset_index(drop=True))
    learn, _ = for_training(dataset, rows, with_baseline=True)
    split = split_days({str(day): int(count) for day, count in rows[DAY].value_counts().items()})
    train = learn[learn[DAY].isin(split.train)]
    held_out = rows[rows[DAY].isin((*split.calibration, *split.test))]
    mae = fit(dataset, options, train, held_out, list(candidates(options.seed)))
    fit(dataset, options, learn, held_out, ["boosting"])
    print(json.dumps({"rows": len(rows), "mae": mae, "seconds": round(time.monotonic() - start, 2)}))


def fit(dataset, options, train, held_out, families) -> float:  # noqa: ANN001
    columns = [column.name for column in dataset.features(with_baseline=True)]
    transformer = build_transformer(dataset, options)
    X = transformer.fit_transform(train[columns], relative_target(dataset, options, train))
    y = train[dataset.target.name].to_numpy(np.float64)
    names = transformer.get_feature_names_out()
    points = candidates(options.seed)
    settings = {"with_baseline": options.with_baseline, "seed": options.seed}
    models = [interval_model(dataset, points[family], names, settings).fit_point(X, y) for family in families]
    models[0].fit_bounds(X, y)
    answers = models[0].predict(transformer.transform(held_out[columns]))
    return measure(held_out[dataset.target.name].to_numpy(np.float64), answers[:, 0]).mae


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
