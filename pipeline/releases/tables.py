"""The answers of the command as people read them. Not here: what is asked (``history.py``) or the command itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.contract.channel import Channel
from pipeline.contract.ledger import Entry
from pipeline.releases.difference import Difference
from pipeline.releases.history import Moment, Version

LONGEST = 60


def of_versions(found: Sequence[Version]) -> RenderableType:
    table = _table("version", "data day", "state", "since", "by", "why")
    for each in found:
        table.add_row(*_cells(each.version, each.data_day, each.state, _seconds(each.since), each.who, each.why))
    return table if found else Text("there are no releases yet")


def of_changes(found: Sequence[Entry]) -> RenderableType:
    table = _table("generation", "at", "action", "by", "why")
    for each in found:
        table.add_row(*_cells(each.generation, _seconds(each.at), each.action, each.who, each.why))
    return table


def of_release(facts: dict[str, Any], certificate: dict[str, Any] | None, changes: Sequence[Entry]) -> RenderableType:
    table = _table("", "")
    for name, value in facts.items():
        table.add_row(*_cells(name, value))
    checked: list[RenderableType] = [_of_certificate(certificate)] if certificate else [Text("no certificate")]
    return Group(table, *checked, of_changes(changes) if changes else Text("it never was live"))


def _of_certificate(certificate: dict[str, Any]) -> RenderableType:
    table = _table("check", "figure", "limit", "passed", "what was found")
    for check in certificate["checks"]:
        figures = [_figure(check[name]) for name in ("figure", "limit")]
        table.add_row(*_cells(check["name"], *figures, "yes" if check["passed"] else "no", check["text"]))
    return table


def of_differences(found: Sequence[Difference], before: int, after: int) -> RenderableType:
    table = _table("", "value", f"version {before}", f"version {after}")
    for each in found:
        table.add_row(*_cells(each.part, each.name, _figure(each.before), _figure(each.after)))
    return table if found else Text(f"versions {before} and {after} do not differ")


def of_moment(found: Moment, assumed: bool) -> RenderableType:
    head = f"at {found.time.isoformat()}{' (no zone was given: UTC)' if assumed else ''}: {found.message}"
    return Group(Text(head), of_channel(found.channel))


def of_channel(channel: Channel) -> RenderableType:
    table = _table("role", "version", "data day", "share")
    share = {"challenger": f"{channel.challenger.share:.3g}"} if channel.challenger else {}
    for role, release in channel.roles():
        table.add_row(*_cells(role, release.version, release.data_day, share.get(role, "")))
    return table if channel.roles() else Text("champion, challenger and shadow: none")


def _table(*names: str) -> Table:
    return Table(*names, box=None, pad_edge=False)


def _cells(*values: object) -> list[Text]:
    """As plain text: what people wrote in a reason is not markup."""
    return [Text(str(value)) for value in values]


def _seconds(at: str) -> str:
    return at[:19] + "Z" if at else ""


def _figure(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
