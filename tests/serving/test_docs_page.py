"""serving/docs_page.py"""

import dataclasses
import re

from pipeline.contract.schema import Column, Schema
from serving.docs_page import docs_page


def test_before_the_first_release_the_page_says_so():
    """No columns are made up."""
    page = docs_page("car_price", None)
    assert "No release is live yet." in page
    assert "<table>" not in page


def test_the_page_shows_the_live_columns_with_units(loaded):
    """Name, meaning, range, null and example of each column."""
    page = docs_page("car_price", loaded)
    assert "<tr><td>miles<td>distance driven<td>between -1 and 1000000 miles<td>yes<td>48000</tr>" in page
    assert "release 1" in page
    assert "{{" not in page


def test_texts_of_a_release_are_not_markup(loaded):
    """A description cannot bring a script along."""
    schema = Schema((Column("x", "categorical", "<script>alert(1)</script>", example="</textarea>"),), "<b>")
    page = docs_page("<i>", dataclasses.replace(loaded, schema=schema))
    assert "<script>alert" not in page
    assert page.count("</textarea>") == 1
    assert "<i>" not in page
    assert "<b>" not in page


def test_the_page_needs_no_other_host(loaded):
    """It works where there is no way to the outside."""
    assert not re.search(r"(src|href)=.?(https?:)?//", docs_page("car_price", loaded))
