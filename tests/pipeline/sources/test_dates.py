"""The day of a sale is found in text and in dates, or the column is named."""

from datetime import date

import pandas as pd
import pytest

from pipeline.errors import DataInvalid
from pipeline.sources.dates import sale_days
from tests.pipeline.auction_rows import DATASET


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2015-05-07", "2015-05-07"),
        ("2015-05-07 23:59:59", "2015-05-07"),
        ("Tue Dec 16 2014 12:30:00 GMT-0800 (PST)", "2014-12-16"),
        (" 2024-02-29T00:00 ", "2024-02-29"),
        (pd.Timestamp("2015-05-07 01:30"), "2015-05-07"),
        (pd.Timestamp("2015-05-07 23:30", tz="America/New_York"), "2015-05-07"),
        (date(2015, 5, 7), "2015-05-07"),
    ],
)
def test_the_day_is_read_as_it_stands(value: object, day: str) -> None:
    """Text by the dataset's patterns, dates as they are, without moving them between time zones."""
    assert list(sale_days(DATASET.date, pd.Series([value, value]))) == [day, day]


@pytest.mark.parametrize("value", ["07.05.2015", "2015-02-30", "2015-13-01", "Tue Foo 16 2014", "20150507", 5, True])
def test_a_day_that_cannot_be_read_is_named_with_its_column(value: object) -> None:
    """The message has the column, how many rows, and one example."""
    with pytest.raises(DataInvalid, match=r"saledate: 1 of 2 rows have no day that can be read, for example") as error:
        sale_days(DATASET.date, pd.Series(["2015-05-07", value], dtype=object))
    assert str(value) in str(error.value)


@pytest.mark.parametrize("value", [None, "", pd.NaT])
def test_a_missing_day_is_refused(value: object) -> None:
    """A row without a day belongs to no partition."""
    with pytest.raises(DataInvalid, match="saledate: 1 of 2 rows"):
        sale_days(DATASET.date, pd.Series(["2015-05-07", value], dtype=object))
    with pytest.raises(DataInvalid, match="saledate: 1 of 2 rows"):
        sale_days(DATASET.date, pd.Series([pd.Timestamp("2015-05-07"), pd.NaT]))
