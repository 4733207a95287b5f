"""A person agrees before a version goes live (GAVEL_APPROVAL), and who it was is kept with the version.

Not here: the DAG that asks (``car_price_daily.py``). Airflow reads no DAG from this file (``.airflowignore``).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.task_defaults import Json, told
from pipeline.settings import read_settings

LONGEST_WAIT = timedelta(hours=20)


class Approval(ApprovalOperator):
    """A person agrees before the version goes live (GAVEL_APPROVAL); about a refused one nobody is asked."""

    def execute(self, context: Any) -> Any:
        if not context["ti"].xcom_pull(task_ids="gate")["passed"]:
            raise AirflowSkipException("the gate has refused it: there is nothing to approve")
        return super().execute(context)

    def execute_complete(self, context: Any, event: Json) -> Any:
        """The answer is kept here: Airflow keeps none when it skips what comes after a refusal."""
        context["ti"].xcom_push(key="answer", value=answered(event))
        return super().execute_complete(context, event)


def answered(event: Json) -> Json:
    """What a person said; without a name when the time was over."""
    return {
        "approved": event.get("chosen_options") == [ApprovalOperator.APPROVE],
        "name": (event.get("responded_by_user") or {}).get("name") or "",
        "reason": (event.get("params_input") or {}).get("reason") or "",
    }


def approval() -> Approval:
    """The next day's run is not kept waiting: without an answer by then the version stays out."""
    return Approval(
        task_id="approval",
        subject="Shall version {{ ti.xcom_pull(task_ids='register')['version'] }} of the price model go live?",
        body="{{ ti.xcom_pull(task_ids='gate')['markdown'] }}",
        params={
            "reason": Param("", type="string", maxLength=500, title="Reason", description="Kept with the version.")
        },
        defaults=ApprovalOperator.REJECT,
        response_timeout=LONGEST_WAIT,
        execution_timeout=None,
        doc_md=Approval.__doc__,
    )


# After deploy, as a refusal skips what comes directly after the approval.
@task(trigger_rule="none_failed", doc_md="Who approved or refused, and why, is kept in the version's tags.")
def note_approval(registered: Json) -> Json:
    from pipeline import steps

    answer = get_current_context()["ti"].xcom_pull(task_ids="approval", key="answer")
    if not answer:
        raise AirflowSkipException("nobody was asked")
    return told(steps.note_approval(read_settings(), registered["version"], **answer))
