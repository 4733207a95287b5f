"""Is there as much data as there used to be, and do clients' requests still fit? Not here: what the values are."""

from __future__ import annotations

from statistics import median

from pipeline.checks.case import Case
from pipeline.contract.certificate import Check
from pipeline.contract.column import Column
from pipeline.contract.schema import Schema

GROUP = "data"
USUAL = 5.0  # times more or less than the median day: told
# Times the largest day before: a delivery repeated. The largest step of 70 real days is 4.5.
MOST_GROWTH = 20.0
LEAST_OF_CHAMPION = 0.1
FEW_DAYS = 3


def volume(case: Case) -> tuple[Check, ...]:
    """The rows of the newest day beside those of the days before, and of the window beside the champion's."""
    return _newest_day(case), _window(case)


def _newest_day(case: Case) -> Check:
    counts = [int(day[2]) for day in case.candidate.manifest.lineage["days"]]
    newest, before = counts[-1], [count for count in counts[:-1] if count]
    name = "rows of the newest day"
    if len(before) < FEW_DAYS:
        return Check(GROUP, name, newest, None, True, f"{newest:,} rows, and too few days before to compare with")
    limit, usual = MOST_GROWTH * max(before), median(before)
    passed = newest <= limit
    warned = passed and not usual / USUAL <= newest <= usual * USUAL
    text = f"{newest:,} rows on the newest day, {usual:,.0f} on a usual one, {max(before):,} at most so far"
    return Check(GROUP, name, newest, limit, passed, text, warned)


def _window(case: Case) -> Check:
    rows, name = int(case.candidate.manifest.lineage["rows"]), "rows of the window"
    known = case.champion.bundle.manifest.lineage.get("rows") if case.champion else None
    if known is None:
        return Check(GROUP, name, rows, None, True, f"{rows:,} rows in the window")
    limit = LEAST_OF_CHAMPION * int(known)
    passed = rows >= limit
    return Check(GROUP, name, rows, limit, passed, f"{rows:,} rows in the window, {known:,} in the champion's")


def schema(case: Case) -> Check:
    """Whoever could ask the champion must be able to ask the candidate in the same way."""
    if case.champion is None:
        columns = len(case.candidate.manifest.schema.inputs)
        return Check(GROUP, "columns", None, None, True, f"{columns} columns; {case.without_champion}")
    before, now = case.champion.bundle.manifest.schema, case.candidate.manifest.schema
    lost, news = _lost(before, now), _news(before, now)
    limit = f"no request that version {case.champion.release.version} takes may be refused"
    text = "; ".join([*lost, *news]) or "the columns of the champion"
    return Check(
        GROUP, "columns", len(lost), 0, not lost, f"{text} ({limit})" if lost else text, bool(news) and not lost
    )


def _lost(before: Schema, now: Schema) -> list[str]:
    """What a client may send to the one and not to the other."""
    ours, theirs = _by_name(now), _by_name(before)
    lost = [f"`{name}` is gone" for name in theirs if name not in ours]
    lost += [f"`{name}` is new and must be given" for name, c in ours.items() if name not in theirs and c.required]
    for name in theirs.keys() & ours.keys():
        lost += _narrower(theirs[name], ours[name])
    return sorted(lost)


def _narrower(before: Column, now: Column) -> list[str]:
    name = f"`{now.name}`"
    if before.kind != now.kind:
        return [f"{name} is {now.kind}, was {before.kind}"]
    found = [f"{name} must be given now"] if now.required and not before.required else []
    if now.minimum is not None and (before.minimum is None or before.minimum < now.minimum):
        found.append(f"{name} may not be below {now.minimum:g} any more")
    if now.maximum is not None and (before.maximum is None or before.maximum > now.maximum):
        found.append(f"{name} may not be above {now.maximum:g} any more")
    return found


def _news(before: Schema, now: Schema) -> list[str]:
    ours, theirs = _by_name(now), _by_name(before)
    news = [f"`{name}` is new" for name, column in ours.items() if name not in theirs and not column.required]
    if before.output_unit != now.output_unit:
        news.append(f"prices are in {now.output_unit}, were in {before.output_unit}")
    return news


def _by_name(schema: Schema) -> dict[str, Column]:
    return {column.name: column for column in schema.inputs}
