"""Every day: fetch, preprocess, train, export, register, gate, deploy.

Each task below is one call into the pipeline step of the same name; tasks hand each other references, never data.
Not here: what a step does (``pipeline/``). Nothing heavy is imported while Airflow parses this file.
"""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk import Asset, Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.approval import LONGEST_WAIT, approval, note_approval
from dags.task_defaults import DEFAULTS, Json, run_page, told
from pipeline.settings import read_settings

if TYPE_CHECKING:
    from pipeline.settings import Settings

DAG_ID = "car_price_daily"
PARTITION = Asset("car_price_partition", uri="x-gavel://car_price/partition", group="gavel")
MODEL = Asset("car_price_model", uri="x-gavel://car_price/model", group="gavel")
RELEASE = Asset("car_price_release", uri="x-gavel://car_price/release", group="gavel")

DOC = """
### From a day's auction sales to a served price

`fetch → preprocess → train → export → register → gate → deploy`

* **Data day**: a scheduled or backfill run works on the day *before* its logical date (`@daily` fires at midnight,
  when that day is over). A manual run works on the day of the form, or on yesterday.
* **Again**: any task may be cleared and run again. Same day, code and settings end in the same model version.
* **No sales that day**, or too few days so far to learn from: the rest is skipped, and the run is green.
* **Work of old runs** (`GAVEL_KEEP_DAYS`, 30) is removed by `fetch`; sales, releases and their history are kept.
* **The gate refuses**: the model stays in the registry with the reason, `deploy` is skipped, what was live still is.
  The certificate with all checks is in the log of `gate` and in MLflow; the release carries it, signed.
* **Approval**: with `GAVEL_APPROVAL=true` a person agrees before `deploy`, with the certificate before their eyes.
* **Errors**: something that is away is tried again; bad data or settings fail at once and name the cause.
"""

# Whether there is the task at all, so it is asked when Airflow reads this file.
APPROVAL = read_settings().approval

BASELINE: dict[str, bool | None] = {"as configured": None, "with": True, "without": False}
PARAMS = {
    "day": Param(
        None,
        type=["null", "string"],
        format="date",
        title="Data day",
        description="The day whose sales are learned from. Empty: the day before the run's date.",
    ),
    "window_days": Param(
        None,
        type=["null", "integer"],
        minimum=3,
        maximum=3660,
        title="Window in days",
        description="How many calendar days the model learns from. Empty: as configured.",
    ),
    "baseline": Param(
        "as configured",
        type="string",
        enum=list(BASELINE),  # a switch of the form has no third position
        title="Guide price as a feature",
        description="Whether the model may use the dataset's baseline column.",
    ),
    "force_reason": Param(
        None,
        type=["null", "string"],
        maxLength=500,
        title="Force past the gate",
        description="Why a model that the gate refuses goes live all the same; kept with the version. Empty: do not.",
    ),
}


def data_day(day: str | None, logical_date: datetime | None, run_after: datetime) -> date:
    """The day that a run works on: the form's, or the day before the logical date, or before the run's own date."""
    if day:
        return date.fromisoformat(day)
    return (logical_date or run_after).astimezone(UTC).date() - timedelta(days=1)


def chosen_settings() -> Settings:
    """The pipeline's settings with what the trigger form overrides; the form's bounds have been checked."""
    params = get_current_context()["params"]
    chosen = {"window_days": params["window_days"], "with_baseline": BASELINE[params["baseline"]]}
    return read_settings().model_copy(update={name: value for name, value in chosen.items() if value is not None})


def run_context() -> Json:
    """Who asks for a model version: what MLflow keeps about this run."""
    context = get_current_context()
    run, params = context["dag_run"], context["params"]
    return {
        "run_key": f"{run.dag_id}/{run.run_id}",
        "dag_id": run.dag_id,
        "dag_run_id": run.run_id,
        "data_day": data_day(params["day"], run.logical_date, run.run_after).isoformat(),
        "trigger": getattr(run.run_type, "value", run.run_type),
        "reason": params["force_reason"] or "",
        "url": run_page(),
    }


def announce(asset: Asset, facts: Json) -> None:
    """Leave facts with the event that says the asset has changed."""
    get_current_context()["outlet_events"][asset].extra = facts


@task(
    outlets=[PARTITION], doc_md="The rows of the data day, and missing days of the window, become immutable partitions."
)
def fetch() -> Json:
    from pipeline import steps

    context = get_current_context()
    run = context["dag_run"]
    day = data_day(context["params"]["day"], run.logical_date, run.run_after)
    today = run.run_after.astimezone(UTC).date()
    told(steps.prune(read_settings()))  # max_active_runs: nobody else is at work now
    fetched = told(steps.fetch(chosen_settings(), day.isoformat(), today.isoformat()))
    announce(PARTITION, fetched["partition"])
    return fetched


@task(doc_md="The window is cleaned, split by time and made into matrices by a fitted ColumnTransformer.")
def preprocess(fetched: Json) -> Json:
    from pipeline import steps

    if fetched["window"] is None:
        raise AirflowSkipException(fetched["message"])
    prepared = told(steps.preprocess(chosen_settings(), fetched["window"]))
    if not prepared["prefix"]:
        raise AirflowSkipException(prepared["message"])
    return prepared


@task(doc_md="Fits the price model and its 80 % interval; measures them on the newest days beside the baseline.")
def train(prepared: Json) -> Json:
    from pipeline import steps

    return told(steps.train(chosen_settings(), prepared))


@task(doc_md="One ONNX graph from raw columns to a price, proven equal to the fitted pipeline on every test row.")
def export(trained: Json) -> Json:
    from pipeline import steps

    return told(steps.export(chosen_settings(), trained))


@task(outlets=[MODEL], doc_md="An MLflow run and model version; the same model is found again instead of made twice.")
def register(bundle: Json, trained: Json) -> Json:
    from pipeline import steps

    registered = told(steps.register(chosen_settings(), bundle, trained, run_context()))
    announce(MODEL, {name: registered[name] for name in ("version", "fingerprint", "run_id")})
    return registered


@task(doc_md="Is it good enough? Data, quality beside the champion, cost, and the server's own answers: a certificate.")
def gate(bundle: Json, trained: Json, registered: Json) -> Json:
    from pipeline import steps

    reason = get_current_context()["params"]["force_reason"] or ""
    verdict = told(steps.gate(chosen_settings(), bundle, trained, registered["version"], reason))
    logging.getLogger("gavel").info(verdict["table"])
    return verdict


@task(outlets=[RELEASE], doc_md="Publishes the release, moves the channel and waits until every replica serves it.")
def deploy(registered: Json, verdict: Json) -> Json:
    from pipeline import steps

    if not verdict["passed"]:
        raise AirflowSkipException(f"version {registered['version']} stays out: {verdict['reason']}")
    deployed = told(steps.deploy(chosen_settings(), verdict, registered["version"], run_context()))
    announce(RELEASE, {name: deployed[name] for name in ("version", "digest", "live")})
    return deployed


@dag(
    DAG_ID,
    dag_display_name="Car price, daily",
    description="A day's auction sales become a served price.",
    schedule="@daily",
    start_date=datetime(2015, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=3) + (LONGEST_WAIT if APPROVAL else timedelta()),
    default_args=DEFAULTS,
    params=PARAMS,
    tags=["gavel", "car_price"],
    doc_md=DOC,
)
def car_price_daily() -> None:
    fetched = fetch()
    trained = train(preprocess(fetched))
    bundle = export(trained)
    registered = register(bundle, trained)
    verdict = gate(bundle, trained, registered)
    deployed = deploy(registered, verdict)
    if APPROVAL:
        verdict >> approval() >> deployed >> note_approval(registered)


car_price_daily()
