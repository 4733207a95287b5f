"""A certificate for people: a table for the log of a task, Markdown for the pages of MLflow.

Not here: what it says (``pipeline/checks``), or where it is shown (``pipeline/gate.py``, the DAG).
"""

from __future__ import annotations

from pipeline.contract.certificate import Certificate, Check
from pipeline.model_card import LONGEST

HEADING = "### Certificate"
ARTIFACT = "certificate/certificate.md"
THOUSAND = 1_000


def table(certificate: Certificate) -> str:
    """Plain text with a line for each check, columns below each other."""
    rows = [("verdict", "check", "figure", "limit"), *(_cells(check) for check in certificate.checks)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    texts = ["", *(_plain(check.text) for check in certificate.checks)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=True)), text]).rstrip()
        for row, text in zip(rows, texts, strict=True)
    ]
    return "\n".join([headline(certificate), *lines])


def headline(certificate: Certificate) -> str:
    """One line: which version, what came of it, and who is to thank for it."""
    beside = f", beside version {certificate.champion.version}" if certificate.champion else ""
    text = f"{certificate.model} version {certificate.version}: {certificate.verdict}{beside}, {certificate.made_at}"
    if certificate.forced and not certificate.passed:
        text += f"; forced: {certificate.forced}"
    if certificate.mode == "off":
        text += "; the gate is off: only parity was looked at"
    if certificate.mode == "dry-run" and not certificate.passed:
        text += "; the gate only tells: the version goes on all the same"
    return text


def markdown(certificate: Certificate) -> str:
    """The whole certificate."""
    lines = [HEADING, "", _plain(headline(certificate)), "", "| | check | figure | limit | |", "|---|---|--:|--:|---|"]
    lines += [f"| {' | '.join(map(_plain, (*_cells(check), check.text)))} |" for check in certificate.checks]
    return "\n".join(lines) + "\n"


def described(card: str, certificate: Certificate) -> str:
    """A version's description: the model card, then the certificate in place of an earlier one.

    What is too long for MLflow is told in short; only then the end of the card gives way, which is an artifact too.
    """
    card = card.partition(HEADING)[0].rstrip()
    section = markdown(certificate)
    if len(card) + len(section) + 2 > LONGEST:
        section = _short(certificate)
    room = LONGEST - len(section) - 2
    return f"{card if len(card) <= room else card[: room - 1] + '…'}\n\n{section}"


def _short(certificate: Certificate) -> str:
    """The verdict, and the checks that somebody should look at."""
    odd = [check for check in certificate.checks if check.warned or not check.passed]
    lines = [f"- {verdict(check)}: {_plain(check.text)[:200]}" for check in odd[:8]]
    return (
        "\n".join([HEADING, "", _plain(headline(certificate))[:600], "", *lines, f"All checks: `{ARTIFACT}`."]) + "\n"
    )


def verdict(check: Check) -> str:
    if not check.passed:
        return "refused"
    return "warning" if check.warned else "passed"


def _cells(check: Check) -> tuple[str, str, str, str]:
    return verdict(check), f"{check.group}: {check.name}", _number(check.figure), _number(check.limit)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= THOUSAND or float(value).is_integer() else f"{value:.3g}"


def _plain(text: str) -> str:
    """Values of columns may hold anything; a table's cell has no bars and no line breaks."""
    return " ".join(text.replace("|", "/").split())
