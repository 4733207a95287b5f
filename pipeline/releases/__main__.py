"""What is live, what was, and what ought to be: ``python -m pipeline.releases``.

Ends with 0 when it is done, 1 when it was refused or failed, 2 when it was asked wrongly. Not here: the changes
(``champion.py``, ``trial.py``), the questions (``history.py``), how answers look (``tables.py``).
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from pipeline import datasets
from pipeline.contract.bundle import CERTIFICATE, MANIFEST
from pipeline.contract.channel import MAX_SHARE
from pipeline.contract.ledger import Actor
from pipeline.errors import GavelError, SettingsInvalid
from pipeline.releases import find_release, tables
from pipeline.releases.champion import promote, rollback
from pipeline.releases.difference import differences
from pipeline.releases.history import changes_of, live_at, repair, verify, versions
from pipeline.releases.rollout import Outcome, Target, open_target
from pipeline.releases.trial import ROLES, canary, quarantine, release_quarantine, shadow, stop
from pipeline.settings import Settings, read_settings
from pipeline.store import Store, open_store

NO_TERMINAL_WIDTH = 160  # where nobody looks through a terminal, a table folded to 80 columns helps nobody


@dataclass(frozen=True, slots=True)
class Answer:
    """``document`` is what ``--json`` prints, ``shown`` what people read, ``code`` the exit code."""

    document: Any
    shown: RenderableType
    code: int = 0


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    try:
        answer = _answer(options, read_settings())
    except GavelError as error:
        sys.stderr.write(f"{type(error).__name__}: {' '.join(str(error).split())}\n")
        return 2 if isinstance(error, SettingsInvalid) else 1
    if options.json:
        sys.stdout.write(json.dumps(answer.document, indent=1, default=str) + "\n")
    else:
        Console(width=None if sys.stdout.isatty() else NO_TERMINAL_WIDTH).print(answer.shown)
    return answer.code


def _answer(options: argparse.Namespace, settings: Settings) -> Answer:
    if options.command in CHANGES:
        outcome = CHANGES[options.command](open_target(settings), options, _person(), options.reason)
        return Answer(asdict(outcome), Text(outcome.message))
    if options.command in {"report", "collect"}:
        from pipeline.releases import report_command  # noqa: PLC0415  what it calculates with takes seconds to load

        return Answer(*getattr(report_command, options.command)(settings, options))
    model = datasets.load(settings.dataset).model_name
    store = open_store(settings.store, read_only=not getattr(options, "repair", False))
    return QUESTIONS[options.command](store, model, options)


def _person() -> Actor:
    try:
        return Actor("person", getpass.getuser())
    except (OSError, KeyError):  # a container's user may have a number and no name
        return Actor("person", f"user {os.getuid()}")


# --- changes ---------------------------------------------------------------------------------------------

Change = Callable[[Target, argparse.Namespace, Actor, str], Outcome]
CHANGES: dict[str, Change] = {
    "promote": lambda at, given, who, why: promote(at, given.version, at.replicas().prove, who, why),
    "rollback": lambda at, given, who, why: rollback(at, given.version, at.replicas().prove, who, why),
    "canary": lambda at, given, who, why: canary(at, given.version, given.share, who, why),
    "shadow": lambda at, given, who, why: shadow(at, given.version, who, why),
    "stop": lambda at, given, who, why: stop(at, who, why, given.role),
    "quarantine": lambda at, given, who, why: quarantine(at, given.version, who, why),
    "release-quarantine": lambda at, given, who, why: release_quarantine(at, given.version, who, why),
}


# --- questions -------------------------------------------------------------------------------------------


def _list(store: Store, model: str, _: argparse.Namespace) -> Answer:
    found = versions(store, model)
    return Answer([asdict(each) for each in found], tables.of_versions(found))


def _show(store: Store, model: str, options: argparse.Namespace) -> Answer:
    release, bundle = find_release(store, model, options.version)
    manifest, changes = bundle.manifest, changes_of(store, model, options.version)
    certificate = json.loads(bundle.files[CERTIFICATE]) if CERTIFICATE in bundle.files else None
    facts = {
        **asdict(release),
        "columns": ", ".join(column.name for column in manifest.schema.inputs),
        "error on the test days": manifest.metrics.get("model", {}).get("mae", "-"),
        "rows": manifest.lineage.get("rows", "-"),
        "fingerprint": manifest.fingerprint,
    }
    document = {**asdict(release), "manifest": json.loads(bundle.files[MANIFEST]), "certificate": certificate}
    document["changes"] = [asdict(each) for each in changes]
    return Answer(document, tables.of_release(facts, certificate, changes))


def _diff(store: Store, model: str, options: argparse.Namespace) -> Answer:
    before, after = (find_release(store, model, version)[1] for version in (options.before, options.after))
    found = differences(before, after)
    return Answer([asdict(each) for each in found], tables.of_differences(found, options.before, options.after))


def _verify(store: Store, model: str, options: argparse.Namespace) -> Answer:
    if options.repair:
        repair(store, model)
    found = verify(store, model)
    text = "; ".join(found) or f"the ledger of {model} is whole, and the channel is what it says"
    return Answer({"whole": not found, "problems": found}, Text("\n".join(found) or text), 1 if found else 0)


def _live_at(store: Store, model: str, options: argparse.Namespace) -> Answer:
    moment, assumed = options.time
    found = live_at(store, model, moment)
    document = {"time": moment.isoformat(), "utc_assumed": assumed, "message": found.message}
    roles = {role: asdict(release) for role, release in found.channel.roles()}
    return Answer(
        {
            **document,
            **dict.fromkeys(("champion", *ROLES)),
            **roles,
            "entry": asdict(found.entry) if found.entry else None,
        },
        tables.of_moment(found, assumed),
    )


Question = Callable[[Store, str, argparse.Namespace], Answer]
QUESTIONS: dict[str, Question] = {
    "list": _list, "show": _show, "diff": _diff, "verify": _verify, "live-at": _live_at,
}  # fmt: skip


# --- what may be asked -----------------------------------------------------------------------------------


PLACES = {"version": "V", "before": "A", "after": "B"}


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.releases", description="What is live, what was, and what ought to be."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, about: str, *versions: str, optional: bool = False) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about, description=about)
        command.add_argument("--json", action="store_true", help="print JSON instead of a table")
        for version in versions:
            command.add_argument(version, type=_version, nargs="?" if optional else None, metavar=PLACES[version])
        if name in CHANGES:
            command.add_argument("--reason", required=True, type=_reason, help="why; it goes into the ledger")
        return command

    add("list", "every release with its state: since when, and by whom")
    add("show", "what a release is made of, its certificate, and when it was live", "version")
    add("diff", "how two releases differ", "before", "after")
    add("promote", "make a challenger, or another newer release, the champion", "version")
    add(
        "rollback",
        "go back to the last good champion, or to this one; what is left is quarantined",
        "version",
        optional=True,
    )
    share = add("canary", "let a release answer a share of the requests", "version")
    share.add_argument("--share", required=True, type=_share, help=f"above 0, at most {MAX_SHARE:g}")
    add("shadow", "let a release answer copies of the requests, unseen", "version")
    add("stop", "end the trial of challenger and shadow").add_argument("role", nargs="?", choices=ROLES)
    add("quarantine", "this version may not be live any more", "version")
    add("release-quarantine", "this version may be live again", "version")
    whole = add("verify", "is the ledger whole, and does the channel say what it says?")
    whole.add_argument("--repair", action="store_true", help="first make the channel what the ledger says, if it lags")
    about = "how two releases do beside each other; without A and B the champion and what is on trial"
    add("report", about, "before", "after", optional=True)
    add("collect", "keep the pairs of champion and shadow that the replicas hold")
    add("live-at", "what was live at a moment").add_argument("time", type=_time, metavar="TIME")
    options = parser.parse_args(arguments)
    if options.command == "report" and options.before and not options.after:
        parser.error("report takes two versions, A and B, or none")
    return options


def _version(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,17}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a version; write its number, as 7")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= MAX_SHARE:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not above 0 and at most {MAX_SHARE:g}; 0.1 is one request in ten"
        )
    return share


def _reason(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; say why")
    return text.strip()


def _time(text: str) -> tuple[datetime, bool]:
    """A moment, and whether UTC had to be assumed."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; write 2026-11-22T14:30+01:00") from None
    assumed = given.tzinfo is None
    moment = given.replace(tzinfo=UTC) if assumed else given
    if moment > datetime.now(UTC):
        raise argparse.ArgumentTypeError(f"{text!r} is yet to come")
    return moment, assumed


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
