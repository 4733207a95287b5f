"""Delivered bytes become the same rows as text, or the delivery is refused with a reason."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataInvalid
from pipeline.sources.tables import rows_of
from tests.pipeline.auction_rows import as_csv, as_parquet, sales


def test_csv_stays_text_as_delivered() -> None:
    """Nothing is guessed: leading noughts, NA, blanks and empty fields are what they were."""
    rows = rows_of(b'a,b,c\n007, x ,NA\n1.50,"y, ""z""",\n', "f.csv")
    assert rows.to_dict("list") == {"a": ["007", "1.50"], "b": [" x ", 'y, "z"'], "c": ["NA", ""]}


def test_a_byte_order_mark_and_crlf_are_no_matter() -> None:
    """A file from another system gives the same rows."""
    plain = rows_of(b"a,b\n1,2\n", "f.csv")
    pd.testing.assert_frame_equal(rows_of(b"\xef\xbb\xbfa,b\r\n1,2\r\n", "f.csv"), plain)


def test_a_header_alone_has_no_rows() -> None:
    """That is a day without sales, not an error."""
    assert len(rows_of(b"a,b\n", "f.csv")) == 0


@pytest.mark.parametrize("data", [as_csv(sales()), as_csv(sales(), lineterminator="\r\n"), as_parquet(sales())])
def test_a_file_cut_anywhere_is_refused_or_ends_with_a_whole_line(data: bytes) -> None:
    """A half delivered file does not pass unless it was cut between two lines of text."""
    name = "f.parquet" if data.startswith(b"PAR1") else "f.csv"
    for cut in range(0, len(data), 37):
        if name == "f.csv" and data[cut - 1 : cut] in (b"\r", b"\n"):
            continue
        with pytest.raises(DataInvalid, match=r"half delivered|UTF-8"):
            rows_of(data[:cut], name)


def test_a_length_that_was_told_stands_for_the_last_line_end() -> None:
    """A body that is proven whole need not end with a line end."""
    assert len(rows_of(b"a,b\n1,2", "f.csv", whole=True)) == 1
    with pytest.raises(DataInvalid, match="half delivered"):
        rows_of(b"a,b\n1,2", "f.csv")
    with pytest.raises(DataInvalid, match="half delivered"):
        rows_of(b"a,b\n1,2\n3", "f.csv", whole=True)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a,b\n1,2\n3,4,5\n6,7\n", "line 3 has 3 fields instead of 2"),
        (b"a,b\n1\n6,7\n", "line 2 has 1 fields instead of 2"),
        (b"", "only half delivered: it is empty"),
        (b"  <!DOCTYPE html><html></html>\n", "web page"),
        (b"a,b\n\xe9,2\n", "UTF-8"),
        (b"a,a\n1,2\n", "the column 'a' is there twice"),
        (b"a,b\n" + b"1,2\n" * 3 + b'3,"4\n', "quotation mark is opened and never closed"),
        (b"x," * 1_000_000 + b"\n", "more than 2000 columns"),
        (b"PAR1 and then nonsense", "no whole Parquet"),
    ],
)
def test_what_is_no_table_is_refused_with_its_reason(data: bytes, message: str) -> None:
    """The message says what is wrong with the file, and where."""
    with pytest.raises(DataInvalid, match=message):
        rows_of(data, "f.csv")


FIELDS = st.text(st.characters(exclude_characters="\0\ufeff", exclude_categories=["Cs"]), max_size=8)


@given(st.lists(st.tuples(FIELDS, FIELDS, st.just("end")), min_size=1, max_size=6))
def test_any_text_comes_back_from_csv(lines: list[tuple[str, str, str]]) -> None:
    """Commas, quotes, line ends and blanks in fields survive."""
    frame = pd.DataFrame(lines, columns=["a", "b", "c"])
    rows = rows_of(as_csv(frame, quoting=1), "f.csv")
    assert rows.to_numpy().tolist() == frame.to_numpy().tolist()
