"""Objects in a bucket on a real S3 server give the rows of a day."""

from collections.abc import Iterator
from datetime import date

import pytest

from pipeline.errors import SourceUnavailable
from pipeline.sources import open_source
from pipeline.store import open_store
from tests.pipeline.auction_rows import DATASET, SUNDAY, TUESDAY, WEDNESDAY, as_csv, as_parquet, sales
from tests.s3_server import BUCKET, free_ports, running_s3


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_s3(tmp_path_factory.mktemp("s3")) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        store = open_store(f"s3://{BUCKET}/feed")
        store.create(f"daily/sales-{TUESDAY}.csv", as_csv(sales()))
        store.create(f"daily/{WEDNESDAY.year}/sales-{WEDNESDAY}.parquet", as_parquet(sales(WEDNESDAY)))
        store.create("all.parquet", as_parquet(sales()))
        yield f"s3://{BUCKET}/feed"


def s3(uri: str):
    return open_source(uri, DATASET, seed=0, today=date(2030, 1, 1))


def test_a_prefix_has_one_object_a_day(bucket: str) -> None:
    """The day is in the object's name, folders below the prefix are looked into."""
    source = s3(f"{bucket}/daily")
    assert list(source.read(TUESDAY)["vin"]) == list(sales()["vin"])
    assert list(source.read(WEDNESDAY)["vin"]) == list(sales(WEDNESDAY)["vin"])
    assert source.read(SUNDAY).empty
    assert source.newest_day() == WEDNESDAY


def test_one_object_may_have_all_days(bucket: str) -> None:
    """An address that ends in .csv or .parquet is one file."""
    source = s3(f"{bucket}/all.parquet")
    assert len(source.read(TUESDAY)) == 20
    assert source.read(WEDNESDAY).empty
    assert source.newest_day() == TUESDAY


def test_reading_writes_nothing_into_the_bucket(bucket: str) -> None:
    """A source works with credentials that may only read: no probe is written."""
    s3(f"{bucket}/untouched").read(TUESDAY)
    assert list(open_store(bucket, read_only=True).keys("untouched")) == []


def test_an_object_that_is_not_there_and_a_server_that_is_away_may_come_back(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are errors to try again."""
    with pytest.raises(SourceUnavailable, match="not delivered yet"):
        s3(f"{bucket}/none.csv").read(TUESDAY)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(SourceUnavailable, match="does not answer"):
        s3(f"{bucket}/daily").read(TUESDAY)
