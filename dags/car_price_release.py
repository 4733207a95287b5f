"""When somebody wants another release live: the DAG ``car_price_release`` with its form, and the one for the alias.

Each task is one call into ``pipeline/steps.py``. Not here: what a change does (``pipeline/releases``), how the
triggerer watches (``plugins/gavel_triggers.py``). Nothing heavy is imported while Airflow parses this file.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, AssetWatcher, BaseOperator, Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from gavel_triggers import AliasTrigger, BakeTrigger  # type: ignore[import-not-found]  # Airflow's path has plugins/

from dags.task_defaults import DEFAULTS, Json, run_page, told
from pipeline.settings import read_settings

START = datetime(2015, 1, 1, tzinfo=UTC)
ALIAS = Asset(
    "car_price_alias",
    uri="x-gavel://car_price/alias",
    group="gavel",
    watchers=[AssetWatcher(name="mlflow_alias", trigger=AliasTrigger())],
)

DOC = """
### Change what is live

Trigger it and fill in the form; a reason is always asked for and kept in the ledger.

* **promote**: a published version becomes champion. Empty version: the challenger, or the shadow.
* **rollback**: back to an older version, which is proven first; the one left is quarantined. Empty: the last champion.
* **canary**: a version answers a share of the requests. It is watched for the bake's minutes; at the first limit that
  is broken it is taken back and quarantined by itself, and the run is red with the reason. Empty: the shadow.
* **shadow**: a version answers copies of the requests, which nobody sees.
* **stop**: ends the trial of challenger and shadow.
* **quarantine**, **release from quarantine**: a version may not go live, or may again.

`bake` waits in the triggerer, so a long bake holds no worker, and other changes may be made meanwhile.
"""
ALIAS_DOC = """
### The alias `champion`, moved by hand in MLflow

The triggerer looks every two seconds. A release that is good goes live (an older one is a rollback); anything else
is refused: the alias is put back, and the version's tag `alias_refused` says why.
"""

ACTIONS = ["promote", "rollback", "canary", "shadow", "stop", "quarantine", "release from quarantine"]
PARAMS = {
    "action": Param(type="string", enum=ACTIONS, title="Action", description="What to do."),
    "reason": Param(
        type="string", minLength=1, maxLength=500, pattern=r"\S", title="Reason", description="Why; kept in the ledger."
    ),
    "version": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        title="Version",
        description="The MLflow model version. Empty: the obvious one, if there is one.",
    ),
    "share": Param(
        0.1,
        type="number",
        exclusiveMinimum=0,
        maximum=0.5,
        title="Share",
        description="Canary: the share of requests that the challenger answers.",
        section="Canary",
    ),
    "bake_minutes": Param(
        30,
        type="number",
        exclusiveMinimum=0,
        maximum=7 * 24 * 60,
        title="Bake minutes",
        description="Canary: how long it is watched.",
        section="Canary",
    ),
    "max_error_rate": Param(
        0.01,
        type=["null", "number"],
        minimum=0,
        maximum=1,
        title="Limit: error rate",
        description="Share of the challenger's requests that may fail. Empty: no limit.",
        section="Canary",
    ),
    "max_latency_ratio": Param(
        1.5,
        type=["null", "number"],
        minimum=1,
        title="Limit: latency ratio",
        description="Its 95th percentile over the champion's. Empty: no limit.",
        section="Canary",
    ),
    "max_answer_drift": Param(
        0.1,
        type=["null", "number"],
        minimum=0,
        title="Limit: answer drift",
        description="How far its mean answer may be from the champion's, as a fraction. Empty: no limit.",
        section="Canary",
    ),
    "least_requests": Param(
        200,
        type="integer",
        minimum=1,
        title="Least requests",
        description="How many either must have answered before a limit is judged.",
        section="Canary",
    ),
    "then": Param(
        "keep",
        type="string",
        enum=["keep", "promote"],
        title="After a good bake",
        description="Whether it stays challenger or becomes champion.",
        section="Canary",
    ),
}

# After the deadline the triggerer needs one look; when there is no triggerer for so long, the bake has failed.
LATE = timedelta(minutes=15)


def actor() -> Json:
    """Who asks: the person that triggered the run, or the run itself where Airflow knows of nobody."""
    run = get_current_context()["dag_run"]
    if run.triggering_user_name:
        return {"kind": "person", "name": run.triggering_user_name, "url": run_page()}
    return {"kind": "dag", "name": f"{run.dag_id}/{run.run_id}", "url": run_page()}


@task(doc_md="The change that the form asks for: proven, recorded in the ledger, and followed by every replica.")
def change() -> Json:
    from pipeline import steps

    return told(steps.change(read_settings(), dict(get_current_context()["params"]), actor()))


class Bake(BaseOperator):
    """Watches a canary in the triggerer until its deadline, or the first limit that is broken."""

    def execute(self, context: Any) -> None:
        bake = context["ti"].xcom_pull(task_ids="change")["bake"]
        if bake is None:
            raise AirflowSkipException("there is no canary to be watched")
        left = datetime.fromisoformat(bake["deadline"]) - datetime.now(UTC)
        self.log.info("version %s is watched until %s", bake["version"], bake["deadline"])
        self.defer(trigger=BakeTrigger(**bake), method_name="ended", timeout=max(left, timedelta()) + LATE)

    def ended(self, context: Any, event: Json) -> Json:  # noqa: ARG002  (Airflow's signature)
        """What the trigger found."""
        self.log.info("%s: %s", event["end"], event["text"])
        return event


# When nobody watched to the end it runs all the same, and ends the trial.
@task(
    trigger_rule="all_done_min_one_success",
    doc_md="Good: promoted or kept, as asked. A limit broken: taken back and quarantined, and the run is red.",
)
def conclude(changed: Json, verdict: Json | None) -> Json:
    from pipeline import steps

    asked = dict(get_current_context()["params"])
    return told(steps.conclude(read_settings(), asked, changed["bake"], verdict, actor()))


@task(doc_md="A good release goes live; otherwise the alias is put back, and a tag of the version says why.")
def follow() -> Json:
    from pipeline import steps

    return told(steps.follow_alias(read_settings(), run_page()))


@dag(
    "car_price_release",
    dag_display_name="Car price, release",
    description="Promote, roll back, try or quarantine a version.",
    schedule=None,
    start_date=START,
    is_paused_upon_creation=False,
    dagrun_timeout=timedelta(days=8),
    default_args=DEFAULTS,
    params=PARAMS,
    tags=["gavel", "car_price"],
    doc_md=DOC,
)
def car_price_release() -> None:
    changed = change()
    bake = Bake(task_id="bake", execution_timeout=None, doc_md=Bake.__doc__)
    changed >> bake
    conclude(changed, bake.output)


@dag(
    "car_price_alias",
    dag_display_name="Car price, alias moved",
    description="Follows the alias champion when a person moves it in MLflow.",
    schedule=[ALIAS],
    start_date=START,
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    default_args=DEFAULTS,
    tags=["gavel", "car_price"],
    doc_md=ALIAS_DOC,
)
def car_price_alias() -> None:
    follow()


car_price_release()
car_price_alias()
