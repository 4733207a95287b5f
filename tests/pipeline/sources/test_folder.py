"""Files on this machine, one with all days or one a day, give the rows of a day as they were delivered."""

import os
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import DataInvalid, SourceUnavailable
from pipeline.sources import folder as folder_module
from pipeline.sources import open_source
from tests.pipeline.auction_rows import (
    DATASET,
    SHARED_DATA,
    SUNDAY,
    TUESDAY,
    WEDNESDAY,
    as_csv,
    as_parquet,
    needs_shared_data,
    sales,
)


def folder(path: Path):
    return open_source(f"folder:{path}", DATASET, seed=0, today=date(2030, 1, 1))


def both_days() -> pd.DataFrame:
    return pd.concat([sales(WEDNESDAY), sales(TUESDAY)], ignore_index=True)


def with_text_dates(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(saledate=frame["saledate"].dt.strftime("%a %b %d %Y %H:%M:%S GMT-0800 (PST)"))


@pytest.mark.parametrize("name", ["all.csv", "all.parquet", "text.csv", "text.parquet", "zone.parquet", "date.parquet"])
def test_one_file_gives_the_rows_of_each_of_its_days(tmp_path: Path, name: str) -> None:
    """CSV or Parquet, dates as text, timestamps, zoned timestamps or plain dates."""
    rows = both_days()
    if name.startswith("text"):
        rows = with_text_dates(rows)
    if name.startswith("zone"):
        rows = rows.assign(saledate=rows["saledate"].dt.tz_localize("America/New_York"))
    if name.startswith("date"):
        rows = rows.assign(saledate=rows["saledate"].dt.date)
    (tmp_path / name).write_bytes(as_csv(rows) if name.endswith("csv") else as_parquet(rows))
    source = folder(tmp_path / name)
    for day in (TUESDAY, WEDNESDAY):
        assert list(source.read(day)["vin"]) == list(sales(day)["vin"])
    assert source.read(SUNDAY).empty
    assert source.newest_day() == WEDNESDAY


def test_a_folder_has_one_file_a_day(tmp_path: Path) -> None:
    """The day is in the name; other files are no matter, and a day without a file has no sales."""
    (tmp_path / f"sales_{TUESDAY}.csv").write_bytes(as_csv(sales()))
    (tmp_path / f"{WEDNESDAY}-final.parquet").write_bytes(as_parquet(sales(WEDNESDAY)))
    (tmp_path / "README.md").write_text("notes")
    (tmp_path / f".{SUNDAY}.csv").write_text("half")
    (tmp_path / f"{SUNDAY}.csv.part").write_text("half")
    source = folder(tmp_path)
    assert list(source.read(TUESDAY)["vin"]) == list(sales()["vin"])
    assert list(source.read(WEDNESDAY)["vin"]) == list(sales(WEDNESDAY)["vin"])
    assert source.read(SUNDAY).empty
    assert source.newest_day() == WEDNESDAY


def test_two_files_of_one_day_are_refused(tmp_path: Path) -> None:
    """Nobody can know which of them is right."""
    for name in (f"{TUESDAY}.csv", f"{TUESDAY}-again.csv"):
        (tmp_path / name).write_bytes(as_csv(sales()))
    with pytest.raises(DataInvalid, match="are both for 2026-03-03"):
        folder(tmp_path).read(TUESDAY)


def test_a_file_with_the_rows_of_another_day_is_refused(tmp_path: Path) -> None:
    """Some rows of neighbours are left to their own day; only rows of others are a wrong file."""
    (tmp_path / f"{WEDNESDAY}.csv").write_bytes(as_csv(both_days()))
    (tmp_path / f"{SUNDAY}.csv").write_bytes(as_csv(both_days()))
    assert len(folder(tmp_path).read(WEDNESDAY)) == 20
    with pytest.raises(DataInvalid, match="should have the sales of 2026-03-08"):
        folder(tmp_path).read(SUNDAY)


@pytest.mark.parametrize("name", ["all.csv", "all.parquet", f"{TUESDAY}.csv"])
def test_a_missing_date_column_is_named(tmp_path: Path, name: str) -> None:
    """Without it no row has a day."""
    rows = sales().rename(columns={"saledate": "sold"})
    (tmp_path / name).write_bytes(as_csv(rows) if name.endswith("csv") else as_parquet(rows))
    with pytest.raises(DataInvalid, match="'saledate' is missing"):
        folder(tmp_path if name.startswith("2") else tmp_path / name).read(TUESDAY)


def test_half_a_parquet_file_is_refused(tmp_path: Path) -> None:
    """Its footer comes last."""
    (tmp_path / "all.parquet").write_bytes(as_parquet(sales())[:-100])
    with pytest.raises(DataInvalid, match="only half delivered"):
        folder(tmp_path / "all.parquet").read(TUESDAY)


def test_a_place_that_is_not_there_may_come_back(tmp_path: Path) -> None:
    """A share that is not mounted is an error to try again."""
    with pytest.raises(SourceUnavailable, match="nothing at"):
        folder(tmp_path / "none")
    (tmp_path / "all.csv").write_bytes(as_csv(sales()))
    source = folder(tmp_path / "all.csv")
    (tmp_path / "all.csv").unlink()
    with pytest.raises(SourceUnavailable, match="nothing at"):
        source.read(TUESDAY)


def test_a_csv_is_parsed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty days out of one file cost one parse; a new delivery is seen at once."""
    parses = []
    monkeypatch.setattr(
        folder_module, "rows_of", lambda data, name, f=folder_module.rows_of: (parses.append(1), f(data, name))[1]
    )
    path = tmp_path / "all.csv"
    path.write_bytes(as_csv(both_days()))
    for day in (TUESDAY, WEDNESDAY, SUNDAY):
        folder(path).read(day)
    assert len(parses) == 1
    path.write_bytes(as_csv(sales()))
    os.utime(path, ns=(1, 1))
    assert folder(path).read(WEDNESDAY).empty
    assert len(parses) == 2


def test_a_day_of_a_long_parquet_file_reads_only_its_own_row_groups(tmp_path: Path) -> None:
    """Row groups of other days are not even opened: damaging them does no harm."""
    days = [TUESDAY + timedelta(days=n) for n in range(40)]
    rows = pd.concat([sales().assign(saledate=pd.Timestamp(day)) for day in days], ignore_index=True)
    path = tmp_path / "all.parquet"
    rows.to_parquet(path, index=False, row_group_size=20)
    data = bytearray(path.read_bytes())
    data[4 : len(data) // 2] = b"\xff" * (len(data) // 2 - 4)
    path.write_bytes(data)
    assert len(folder(path).read(days[-1])) == 20


@needs_shared_data
@pytest.mark.parametrize(
    ("name", "day", "rows", "newest"),
    [
        ("car_auctions.parquet", date(2015, 6, 3), 13_773, date(2015, 7, 21)),
        ("car_auctions_sample.csv", date(2015, 5, 19), 2_236, date(2015, 5, 20)),
        ("car_auctions_raw_text.csv", date(2014, 12, 16), 1_574, date(2015, 7, 7)),
        ("car_auctions_two_models.parquet", date(2015, 1, 6), 269, date(2015, 7, 9)),
    ],
)
def test_real_files_are_read_as_they_are(name: str, day: date, rows: int, newest: date) -> None:
    """Timestamps or text, BOM and CRLF: the same dataset file reads them all."""
    source = folder(SHARED_DATA / name)
    assert len(source.read(day)) == rows
    assert sorted(source.read(day).columns) == sorted(DATASET.raw_columns)
    assert source.newest_day() == newest
