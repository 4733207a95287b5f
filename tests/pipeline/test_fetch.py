"""The step fetch: one day and the missing days of its window become partitions, whatever happens on the way."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import DataInvalid, SourceUnavailable
from pipeline.fetch import fetch
from pipeline.partitions import read_partition, read_window
from pipeline.sources import open_source
from pipeline.store import Store, open_store
from tests.pipeline.auction_rows import (
    DATASET,
    SHARED_DATA,
    SUNDAY,
    TUESDAY,
    WEDNESDAY,
    as_csv,
    needs_shared_data,
    sales,
)
from tests.s3_server import BUCKET, running_s3

ROOT = Path(__file__).parents[2]
FRIDAY = WEDNESDAY + timedelta(days=2)


class Days:
    """A source out of memory that keeps which days it was asked for."""

    description = "days in memory"

    def __init__(self, days: dict[date, pd.DataFrame]) -> None:
        self.days = days
        self.asked: list[date] = []

    def read(self, day: date) -> pd.DataFrame:
        self.asked.append(day)
        return self.days.get(day, pd.DataFrame())

    def newest_day(self) -> date | None:
        return max(self.days)


def week() -> Days:
    days = [TUESDAY - timedelta(days=1) + timedelta(days=n) for n in range(5)]
    return Days({day: sales(day) for day in days})


def test_a_first_run_fetches_the_whole_window_and_the_next_one_only_its_day(store: Store) -> None:
    """An empty day is kept as such; what is there is not asked for again, but the day itself always is."""
    source = week()
    first = fetch(DATASET, source, store, WEDNESDAY, 7)
    assert first.new_days == ("2026-03-02", "2026-03-03", "2026-03-04")
    assert [p.day for p in read_window(store, first.window)] == ["2026-03-02", "2026-03-03", "2026-03-04"]
    assert len(source.asked) == 7
    source.asked.clear()
    second = fetch(DATASET, source, store, WEDNESDAY + timedelta(days=1), 7)
    assert second.new_days == ("2026-03-05",)
    assert WEDNESDAY not in source.asked
    assert second.rows == second.partition.rows == 20
    assert "20 sales on 2026-03-05; window of 80 on 4 days, 1 of them new" in second.message


def test_the_same_day_again_is_the_same_result(store: Store) -> None:
    """Nothing is new, and the window's reference is the same."""
    first = fetch(DATASET, week(), store, WEDNESDAY, 5)
    again = fetch(DATASET, week(), store, WEDNESDAY, 5)
    assert (again.partition, again.window, again.new_days) == (first.partition, first.window, ())


def test_a_window_has_the_days_that_end_with_its_own_and_no_newer(store: Store) -> None:
    """An older day run later (a backfill in reverse) does not see the days after it."""
    fetch(DATASET, week(), store, FRIDAY, 5)
    older = fetch(DATASET, week(), store, WEDNESDAY, 2)
    assert [p.day for p in read_window(store, older.window)] == ["2026-03-03", "2026-03-04"]


def test_a_day_without_sales_is_a_success_that_says_so(store: Store) -> None:
    """There is no window to learn from, and the rest of the window is not asked for."""
    source = week()
    fetched = fetch(DATASET, source, store, SUNDAY, 7)
    assert (fetched.rows, fetched.window, fetched.partition.rows) == (0, None, 0)
    assert fetched.message == "no sales on 2026-03-08: the newest day of days in memory is 2026-03-06"
    assert source.asked == [SUNDAY]


def test_a_late_delivery_is_found_by_the_next_run(store: Store) -> None:
    """A day that was empty is asked again for three days; its rows are a new version."""
    source = week()
    late = source.days.pop(WEDNESDAY)
    assert fetch(DATASET, source, store, FRIDAY, 4).new_days == ("2026-03-03", "2026-03-05", "2026-03-06")
    source.days[WEDNESDAY] = late
    found = fetch(DATASET, source, store, FRIDAY, 4)
    assert found.new_days == ("2026-03-04",)
    assert {p.day: p.version for p in read_window(store, found.window)}["2026-03-04"] == 2


def test_a_corrected_delivery_is_a_new_version_and_the_old_one_stays(store: Store) -> None:
    """The old window still reads what it read."""
    source = week()
    before = fetch(DATASET, source, store, WEDNESDAY, 3)
    source.days[WEDNESDAY] = sales(WEDNESDAY, rows=25)
    after = fetch(DATASET, source, store, WEDNESDAY, 3)
    assert (after.partition.version, after.rows, after.new_days) == (2, 25, ("2026-03-04",))
    assert "(delivery 2 of this day)" in after.message
    assert len(read_partition(store, read_window(store, before.window)[-1])) == 20
    assert len(read_partition(store, read_window(store, after.window)[-1])) == 25


def test_a_changed_schema_fails_with_day_and_column_and_keeps_nothing_of_it(store: Store) -> None:
    """The day and the column are in the message; the day's partition is not made."""
    source = week()
    source.days[TUESDAY] = sales().rename(columns={"odometer": "kilometres"})
    with pytest.raises(DataInvalid, match=r"2026-03-03: .*'odometer' is missing"):
        fetch(DATASET, source, store, WEDNESDAY, 3)
    assert not list(store.keys("partitions/car_auctions/2026-03-03"))


def test_a_source_that_is_away_stops_the_step_and_the_next_run_goes_on(store: Store) -> None:
    """What was fetched before is kept."""
    source = week()
    read = source.read

    def away(day: date) -> pd.DataFrame:
        if day == TUESDAY:
            raise SourceUnavailable("away")
        return read(day)

    source.read = away
    with pytest.raises(SourceUnavailable):
        fetch(DATASET, source, store, WEDNESDAY, 3)
    source.read = read
    source.asked.clear()
    assert fetch(DATASET, source, store, WEDNESDAY, 3).new_days == ("2026-03-03",)
    assert source.asked == [WEDNESDAY, TUESDAY]


def test_progress_counts_up_to_all(store: Store) -> None:
    """The number done, of how many, and which day."""
    seen = []
    fetch(DATASET, week(), store, WEDNESDAY, 3, progress=lambda *step: seen.append(step))
    assert seen == [(1, 3, WEDNESDAY), (2, 3, TUESDAY - timedelta(days=1)), (3, 3, TUESDAY)]


def test_a_day_that_is_delivered_as_a_file_is_found(store: Store, tmp_path: Path) -> None:
    """The step works with a real source, not only with one in memory."""
    (tmp_path / "feed").mkdir()
    (tmp_path / "feed" / f"{TUESDAY}.csv").write_bytes(as_csv(sales()))
    source = open_source(f"folder:{tmp_path}/feed", DATASET, seed=0, today=date(2030, 1, 1))
    assert fetch(DATASET, source, store, TUESDAY, 3).rows == 20


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    with running_s3(tmp_path) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield open_store(f"s3://{BUCKET}/gavel")


def test_a_bucket_holds_the_same_partitions_as_a_folder(bucket: Store, store: Store) -> None:
    """The same keys with the same bytes, so the same references."""
    on_s3, on_disk = (fetch(DATASET, week(), each, WEDNESDAY, 4) for each in (bucket, store))
    assert on_s3 == on_disk
    assert list(bucket.keys("")) == list(store.keys(""))


KILL_EVERYWHERE = """
import sys
from datetime import date
from pipeline import datasets
from pipeline.fetch import fetch
from pipeline.sources.simulated import simulate
from pipeline.store import open_store
from tests.kill_points import killed_at

class Small:
    description = "small"
    def read(self, day):
        return simulate(day, 1).head(5)
    def newest_day(self):
        return None

dataset, day = datasets.load("car_auctions"), date(2026, 3, 4)
def run(folder):
    store = open_store(f"file:{sys.argv[1]}/{folder}")
    fetched = fetch(dataset, Small(), store, day, 2)
    return fetched.partition, fetched.window, {key: store.read(key).data for key in store.keys("")}

def child(folder):
    run(folder)

point = 0
while killed_at(point, lambda: child(point)):
    point += int(sys.argv[2])
whole = run("whole")
for killed in range(0, point, int(sys.argv[2])):
    assert run(killed) == whole, killed
print(point)
"""


def test_a_fetch_killed_at_any_point_ends_in_the_same_state_when_run_again(tmp_path: Path) -> None:
    """SIGKILL before every fifth touch of the file system: the rerun has the same objects with the same bytes."""
    done = subprocess.run(
        [sys.executable, "-c", KILL_EVERYWHERE, str(tmp_path), "5"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) >= 30


@needs_shared_data
def test_real_days_are_fetched_whole(store: Store) -> None:
    """Two weeks of the real file, with their largest day, lose no row."""
    source = open_source(f"folder:{SHARED_DATA}/car_auctions.parquet", DATASET, seed=0, today=date(2030, 1, 1))
    fetched = fetch(DATASET, source, store, date(2015, 6, 4), 14)
    window = read_window(store, fetched.window)
    assert fetched.rows == 8_887
    assert [len(source.read(date.fromisoformat(p.day))) for p in window] == [p.rows for p in window]
    assert max(p.rows for p in window) == 13_773
