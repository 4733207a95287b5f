"""A certificate for people."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.certificate_text import ARTIFACT, HEADING, described, headline, markdown, table
from pipeline.contract.certificate import Certificate, Check
from pipeline.contract.channel import Release
from pipeline.model_card import LONGEST

FINE = Check("quality", "baseline", 900.4, 1_234.5, True, "900 USD is below 1,234")
ODD = Check("data", "rows", 7.0, 2_400.0, True, "7 rows on the newest day", warned=True)
POOR = Check("data", "drift", 0.7581, 0.5, False, "`a|b`\nis far away")
NOTHING = Check("server", "answers", None, None, True, "nobody was asked")
CERTIFICATE = Certificate(
    "car_price", 4, "s" * 64, "2015-06-02T00:00:00+00:00", "enforce", (FINE, ODD, POOR, NOTHING), Release(3, "a" * 64, "d")
)  # fmt: skip


def test_the_log_shows_a_line_for_each_check_below_a_headline() -> None:
    """Verdicts, figures and limits stand below each other."""
    lines = table(CERTIFICATE).splitlines()
    assert lines[0] == "car_price version 4: refused, beside version 3, 2015-06-02T00:00:00+00:00"
    assert [line.split()[0] for line in lines[1:]] == ["verdict", "passed", "warning", "refused", "passed"]
    assert lines[2].index("900") == lines[4].index("0.758")


def test_a_cell_of_markdown_holds_anything() -> None:
    """A bar or a line break in the value of a column does not break the table."""
    rows = [line for line in markdown(CERTIFICATE).splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 4
    assert {row.count("|") for row in rows} == {6}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"forced": "asked for"}, "forced: asked for"),
        ({"mode": "dry-run"}, "goes on all the same"),
        ({"mode": "off", "checks": (FINE,)}, "the gate is off"),
    ],
)
def test_the_headline_says_why_it_passed_all_the_same(changes: dict[str, object], words: str) -> None:
    """Forced, only told, or not looked at."""
    assert words in headline(replace(CERTIFICATE, **changes))  # type: ignore[arg-type]


def test_the_card_stays_before_the_certificate() -> None:
    """A second certificate takes the place of the first."""
    once = described("### Card\n\nfigures\n", CERTIFICATE)
    assert once.startswith(f"### Card\n\nfigures\n\n{HEADING}")
    again = described(once, replace(CERTIFICATE, version=5))
    assert again.count(HEADING) == 1
    assert "version 5" in again


@pytest.mark.parametrize("length", [10, 4_000, 4_600, 5_000])
def test_a_description_is_never_longer_than_mlflow_takes(length: int) -> None:
    """First the certificate is told in short, with what is odd about it; then the end of the card gives way."""
    many = replace(CERTIFICATE, checks=(*CERTIFICATE.checks, *([FINE] * 14)))
    text = described("x" * length, many)
    assert len(text) <= LONGEST
    assert "refused" in text
    assert "is far away" in text
    assert (ARTIFACT in text) is (length > 4_000 or len(markdown(many)) + length + 2 > LONGEST)
    assert text.startswith("x" * min(length, 4_000))
