"""``pipeline.run``: a range of days through all steps, what it prints, and that it can be said again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from pipeline import run, version_record
from pipeline.datasets import load
from pipeline.prune import prune
from pipeline.run import DayResult, main, parse, pool, settings_of, table_of
from pipeline.store import open_store
from tests.pipeline.auction_rows import as_parquet, sales
from tests.pipeline.small_window import small_models

DELIVERED = [date(2026, 3, day) for day in (2, 3, 4, 6, 9)]
ROWS = 450
DAY_KEYS = {
    "day", "rows", "mae", "baseline_mae", "interval_coverage", "parity_max_rel", "version", "scored_by", "live",
    "reason", "seconds",
}  # fmt: skip
POOLED_KEYS = {
    "days", "rows", "mae", "baseline_mae", "mae_ratio", "interval_coverage", "parity_max_rel", "versions",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def bare() -> Iterator[None]:
    """The machine's own settings are not the matter."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("GAVEL_"):
                patch.delenv(name)
        yield


@dataclass(frozen=True)
class Ran:
    """One run's answer, and where it kept everything."""

    document: dict[str, Any]
    state: Path
    arguments: list[str]


def ask(capture: pytest.CaptureFixture[str], arguments: list[str]) -> dict[str, Any]:
    capture.readouterr()
    assert main(arguments) == 0
    return json.loads(capture.readouterr().out)


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, threadpool_limits(1), small_models():
        patch.setattr(version_record, "draw", lambda *arguments: {"plot": b"PNG"})
        yield


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five days of deliveries: Monday to Wednesday, Friday, Monday."""
    folder = tmp_path_factory.mktemp("feed")
    for day in DELIVERED:
        (folder / f"{day}.parquet").write_bytes(as_parquet(sales(day, ROWS)))
    return folder


@pytest.fixture(scope="module")
def ran(quick: None, feed: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """From the second delivered day to the last, for the tests that only look."""
    state = tmp_path_factory.mktemp("run") / "state"
    arguments = ["--source", f"folder:{feed}", "--from", "2026-03-03", "--to", "2026-03-09", "--window-days", "8"]
    arguments += ["--state", str(state), "--json"]
    with pytest.MonkeyPatch.context() as patch:
        written: list[str] = []
        patch.setattr(run.sys.stdout, "write", written.append, raising=False)
        assert main(arguments) == 0
    return Ran(json.loads("".join(written)), state, arguments)


def test_the_answer_is_one_object_of_days_and_pooled_figures(ran: Ran) -> None:
    """Exactly these fields, in this shape."""
    assert set(ran.document) == {"days", "pooled"}
    assert all(set(day) == DAY_KEYS for day in ran.document["days"])
    assert set(ran.document["pooled"]) == POOLED_KEYS


def test_days_without_sales_are_skipped(ran: Ran) -> None:
    """Thursday brought no file, and Saturday and Sunday none either."""
    assert [day["day"] for day in ran.document["days"]] == ["2026-03-03", "2026-03-04", "2026-03-06", "2026-03-09"]
    assert [day["rows"] for day in ran.document["days"]] == [ROWS] * 4


def test_a_day_with_too_little_before_it_makes_no_version_and_says_why(ran: Ran) -> None:
    """Two days are not enough to learn from; the run goes on."""
    first = ran.document["days"][0]
    assert (first["version"], first["parity_max_rel"], first["live"]) == (None, None, False)
    assert first["reason"].startswith("too little to learn from yet: 2 sale days")


def test_every_other_day_makes_a_version_and_is_scored_by_the_one_live_before_it(ran: Ran) -> None:
    """A model never scores a day that it has learned from."""
    days = ran.document["days"]
    assert [day["version"] for day in days] == [None, 1, 2, 3]
    assert days[0]["scored_by"] is None
    assert any(day["scored_by"] for day in days)
    live = 0
    for day in days[1:]:
        assert day["scored_by"] == (live or None)
        live = day["version"] if day["live"] else live
        assert day["parity_max_rel"] <= 1e-6
        assert (day["mae"] is None) == (day["scored_by"] is None) == (day["interval_coverage"] is None)


def test_pooled_figures_are_the_scored_days_by_their_rows(ran: Ran) -> None:
    """Days of as many rows: the mean of them."""
    scored, pooled = [day for day in ran.document["days"] if day["scored_by"]], ran.document["pooled"]
    assert (pooled["days"], pooled["rows"], pooled["versions"]) == (len(scored), ROWS * len(scored), 3)
    for name in ("mae", "baseline_mae", "interval_coverage"):
        assert pooled[name] == pytest.approx(sum(day[name] for day in scored) / len(scored))
    assert pooled["mae_ratio"] == pytest.approx(pooled["mae"] / pooled["baseline_mae"])
    assert pooled["parity_max_rel"] == max(day["parity_max_rel"] for day in ran.document["days"][1:])


def test_said_again_it_gives_the_same_figures_and_no_new_version(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is made twice, and no object of the store is another one or gone."""
    store = open_store(f"file:{ran.state}/store")
    before = {key: store.read(key).etag for key in store.keys("")}
    again = ask(capsys, ran.arguments)
    assert again["pooled"] == ran.document["pooled"]
    unlike = ("seconds", "live", "reason")
    for one, other in zip(again["days"], ran.document["days"], strict=True):
        assert {name: one[name] for name in one if name not in unlike} == {
            n: other[n] for n in other if n not in unlike
        }
    assert {key: store.read(key).etag for key in store.keys("")} == before


def test_after_its_work_was_removed_the_same_versions_are_made_again(
    ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the partitions, which stay; so nothing is lost with the work of old runs."""
    store = open_store(f"file:{ran.state}/store")
    pruned = prune(load("car_auctions"), store, 30, datetime.now(UTC) + timedelta(days=31))
    assert pruned.folders >= 15
    again = ask(capsys, ran.arguments)
    assert [day["version"] for day in again["days"]] == [day["version"] for day in ran.document["days"]]
    assert again["pooled"] == ran.document["pooled"]


def test_the_last_release_that_passed_is_live(ran: Ran) -> None:
    """The channel names it, though nobody was asked to serve it."""
    store = open_store(f"file:{ran.state}/store")
    champion = json.loads(store.read("channels/car_price.json").data)["champion"]
    assert champion["version"] == max(day["version"] for day in ran.document["days"] if day["live"])


def test_only_the_days_from_a_date_on_are_pooled_if_one_is_given(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    """The days before it still made their versions."""
    pooled = ask(capsys, [*ran.arguments, "--score-from", "2026-03-09"])["pooled"]
    assert (pooled["days"], pooled["rows"], pooled["versions"]) == (1, ROWS, 3)
    assert pooled["mae"] == ran.document["days"][-1]["mae"]


def test_without_json_there_is_a_table(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    """A line a day and one for all; progress goes elsewhere."""
    assert main([each for each in ran.arguments if each != "--json"]) == 0
    out = capsys.readouterr().out
    for word in ("2026-03-06", "version 2", "pooled", "3 versions", "error USD"):
        assert word in out


def result(day: str, rows: int, mae: float | None = None, **changes: Any) -> DayResult:
    figures = {"baseline_mae": mae and 2 * mae, "interval_coverage": mae and 0.8, "parity_max_rel": 1e-12, "version": 1}
    plain = {"scored_by": mae and 1, "live": True, "reason": "", "seconds": 1.0}
    return DayResult(day, rows, mae, **figures | plain | changes)


def test_pooling_weighs_days_by_their_rows() -> None:
    """Days that were not scored do not count; of a problem without a baseline its figure stays open."""
    pooled = pool([result("2026-03-01", 500), result("2026-03-02", 100, 10.0), result("2026-03-03", 300, 20.0)], "")
    assert (pooled["days"], pooled["rows"], pooled["mae"], pooled["mae_ratio"]) == (2, 400, 17.5, 0.5)
    bare = pool([result("2026-03-02", 100, 10.0, baseline_mae=None)], "")
    assert (bare["mae"], bare["baseline_mae"], bare["mae_ratio"]) == (10, None, None)


def test_nothing_pooled_is_open() -> None:
    """No day, or none scored: no figure, no error; and a table of it can be shown."""
    for results in ([], [result("2026-03-01", 5, version=None, parity_max_rel=None, live=False)]):
        pooled = pool(results, "")
        assert (pooled["days"], pooled["rows"], pooled["mae"], pooled["versions"]) == (0, 0, None, 0)
        assert table_of(results, pooled, "USD").row_count == len(results) + 1


# --- what a person may type

GOOD = ["--from", "2026-03-03", "--to", "2026-03-04"]
WRONG: dict[str, tuple[list[str], str]] = {
    "no days": ([], "--from, --to"),
    "the wrong way round": (["--from", "2026-03-04", "--to", "2026-03-03"], "--to is before --from"),
    "no such day": (["--from", "2026-02-30", "--to", "2026-03-03"], "'2026-02-30' is not a day"),
    "another way of writing days": (["--from", "3.3.2026", "--to", "2026-03-03"], "write it as 2015-06-01"),
    "an unknown dataset": ([*GOOD, "--dataset", "boats"], "car_auctions"),
    "a window that is no number": ([*GOOD, "--window-days", "many"], "--window-days"),
    "an unknown option": ([*GOOD, "--fast"], "--fast"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_argument_is_refused_before_anything_starts(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and a sentence after how it is used."""
    arguments, said = WRONG[what]
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err.splitlines()[-1]


REFUSED: dict[str, tuple[list[str], dict[str, str], str]] = {
    "an unknown source": (["--source", "ftp://x"], {}, "'ftp://x' is not a source; write simulated:, folder:PATH"),
    "a source of another problem": (["--dataset", "house_prices"], {}, "simulated: has sales for car_auctions only"),
    "too short a window": (["--window-days", "2"], {}, "GAVEL_WINDOW_DAYS: "),
    "an unknown dataset in the environment": ([], {"GAVEL_DATASET": "boats"}, "there is no dataset 'boats'"),
    "a misspelt setting": ([], {"GAVEL_SOURCES": "x"}, "did you mean GAVEL_SOURCE?"),
    "a state that is a file": (["--state", "{file}"], {}, "cannot be used"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_setting_that_cannot_be_used_ends_with_one_sentence(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, nothing on the standard output, no trace of the code."""
    arguments, environment, said = REFUSED[what]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main([*GOOD, *(each.format(file=tmp_path / "file") for each in arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in " ".join(err.split())
    assert "Traceback" not in err


def test_an_error_of_the_data_has_another_exit_code(
    feed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """1, and the sentence names day and column."""
    spoilt = tmp_path / "feed"
    spoilt.mkdir()
    (spoilt / "2026-03-03.parquet").write_bytes(as_parquet(sales(rows=9).drop(columns="odometer")))
    assert main([*GOOD, "--source", f"folder:{spoilt}", "--state", str(tmp_path / "state")]) == 1
    assert "2026-03-03: the column 'odometer' is missing" in " ".join(capsys.readouterr().err.split())


def test_each_question_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same question goes on where it was; another source, window, model or code begins anew."""
    monkeypatch.chdir(tmp_path)

    def store(*arguments: str) -> str:
        return settings_of(parse([*GOOD, *arguments])).store

    assert store() == store("--json")
    others = [store(*each) for each in (["--source", "folder:x"], ["--window-days", "9"], ["--without-baseline"])]
    monkeypatch.setattr(run, "code_digest", lambda: "other")
    assert len({store(), *others, store("--state", "s")}) == 5
    assert store("--state", "s") == f"file:{tmp_path}/s/store"


def test_a_run_asks_nobody_to_serve_and_keeps_its_own_registry(tmp_path: Path) -> None:
    """What is live on this machine is not touched."""
    settings = settings_of(parse([*GOOD, "--state", str(tmp_path), "--without-baseline"]))
    assert settings.serving_urls == ()
    assert settings.mlflow_uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert not settings.with_baseline
