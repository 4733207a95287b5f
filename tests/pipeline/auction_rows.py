"""Small invented deliveries for tests, in the forms in which real ones come."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from pipeline import datasets
from pipeline.sources.simulated import simulate

DATASET = datasets.load("car_auctions")
TUESDAY, WEDNESDAY, SUNDAY = date(2026, 3, 3), date(2026, 3, 4), date(2026, 3, 8)
SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"
needs_shared_data = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the shared test data is not on this machine")


def sales(day: date = TUESDAY, rows: int = 20) -> pd.DataFrame:
    return simulate(day, seed=1).head(rows).reset_index(drop=True)


def as_csv(frame: pd.DataFrame, **options: object) -> bytes:
    return frame.to_csv(index=False, **options).encode()


def as_parquet(frame: pd.DataFrame) -> bytes:
    return frame.to_parquet(index=False)
