"""In the Airflow UI: the page *Releases* (what ought to be live, what is, what was changed) and links to MLflow.

Airflow imports this file under its bare name. Not here: changing what is live (the DAG ``car_price_release``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import httpx
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view
from airflow.plugins_manager import AirflowPlugin
from airflow.providers.standard.decorators.python import _PythonDecoratedOperator
from airflow.sdk import BaseOperatorLink
from fastapi import Depends, FastAPI
from fastapi.responses import HTMLResponse

from pipeline import addresses
from pipeline.errors import GavelError

if TYPE_CHECKING:
    from pipeline.contract.channel import Channel, Release
    from pipeline.contract.ledger import Entry
    from pipeline.settings import Settings
    from pipeline.store import Store

DAG_ID = "car_price_daily"
LINKED_TASKS = ("register", "gate", "deploy")
PATIENCE_SECONDS = 2
REFRESH_SECONDS = 5
CHANGES = 10  # of the ledger, on the page
RELEASE_PAGE = "../dags/car_price_release"  # as seen from /gavel/releases, whatever path Airflow lies under

STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem; max-width: 70rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem 1rem .4rem 0; border-bottom: 1px solid #8884; vertical-align: top; }
code { font-size: .9em; }
.good::before { content: "\\2713 "; color: #2a9d4a; } .bad::before { content: "\\2717 "; color: #d1432f; }
"""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Replica:
    """What a serving replica said of itself: of its worker that lags behind, and how many ``workers`` are ready.

    ``problem`` says why it said nothing, or serves nothing new.
    """

    url: str
    version: int | None = None
    digest: str = ""
    since: str = ""
    problem: str = ""
    workers: str = ""
    ready: bool = False


def ask(url: str, token: str = "") -> Replica:
    """One replica's own word on what it serves."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        said = httpx.get(f"{url}/v1/model", headers=headers, timeout=PATIENCE_SECONDS, trust_env=False).json()
        workers = said.get("workers") or [{"ready": True}]
        silent = [f"worker {each.get('index')}: {each['problem']}" for each in workers if each.get("problem")]
        problem = [(said.get("refusal") or {}).get("reason"), said.get("store_error"), *silent]
        ready = [each for each in workers if each.get("ready")]
        return Replica(
            url,
            said.get("version"),
            said.get("digest") or "",
            said.get("since") or "",
            next(filter(None, problem), ""),
            f"{len(ready)} of {len(workers)}",
            len(ready) == len(workers),
        )
    except (httpx.HTTPError, ValueError, AttributeError, TypeError) as error:
        return Replica(url, problem=f"does not answer: {type(error).__name__}")


def ask_all(urls: Sequence[str], token: str) -> list[Replica]:
    """Each replica behind the addresses; a name that stands for none now is shown as it is written."""
    found: list[str] = []
    nobody: list[Replica] = []
    for url in urls:
        try:
            found += addresses.addresses([url])
        except addresses.NoAddress as error:
            nobody.append(Replica(url, problem=str(error)))
    with ThreadPoolExecutor(max_workers=8) as pool:
        return [*pool.map(partial(ask, token=token), dict.fromkeys(found)), *nobody]


def page(model: str, channel: Channel, replicas: Sequence[Replica], mlflow: str, record: str) -> str:
    """The page as HTML; every text that came from elsewhere is escaped. ``record`` is the ledger's table."""
    champion = channel.champion
    rows = "".join(_row(replica, champion.digest if champion else None) for replica in replicas)
    return (
        f"<!doctype html><html lang=en><head><meta charset=utf-8><title>Releases</title><style>{STYLE}</style>"
        f"<meta http-equiv=refresh content={REFRESH_SECONDS}></head><body><h1>Releases of {escape(model)}</h1>"
        f"<h2>Ought to be live</h2>{_wanted(channel)}"
        f'<p><a href="{RELEASE_PAGE}">Promote, roll back, try or quarantine a version</a> '
        "(its Trigger button opens the form)</p>"
        f"<h2>What each replica serves now</h2>"
        f"<table><tr><th>replica<th>version<th>digest<th>since<th>workers<th>remark</tr>{rows}</table>"
        f"<h2>The last changes</h2>{record}"
        f'<p><a href="{escape(mlflow)}" target=_blank rel=noopener>All versions in MLflow</a></p></body></html>'
    )


def _wanted(channel: Channel) -> str:
    """What the channel says, role by role."""
    if channel.champion is None:
        return "<p>No release yet: run the DAG once.</p>"
    trial, shadow = channel.challenger, channel.shadow
    lines = [
        f"{_named(channel.champion)}, {_digest(channel.champion)}, generation {channel.generation} of the channel.",
        f"Challenger: {_named(trial.release)}, answers {trial.share:.3g} of the requests." if trial else "",
        f"Shadow: {_named(shadow)}, answers copies that nobody sees." if shadow else "",
        f"In quarantine: {', '.join(map(str, channel.quarantined))}." if channel.quarantined else "",
    ]
    return "".join(f"<p>{line}</p>" for line in lines if line)


def _named(release: Release) -> str:
    return f"<b>Version {release.version}</b>, learned from sales up to {escape(release.data_day)}"


def _digest(release: Release) -> str:
    return f"digest <code>{escape(release.digest[:12])}</code>"


def changes(entries: Sequence[Entry]) -> str:
    """The newest entries of the ledger as a table, with why and by whom."""
    if not entries:
        return "<p>None yet.</p>"
    rows = "".join(
        f"<tr><td>{escape(each.at[:19])}<td>{escape(each.action)}<td>{_move(each)}<td>{_who(each)}<td>{escape(each.why)}</tr>"
        for each in entries
    )
    return f"<table><tr><th>when (UTC)<th>what<th>champion<th>who<th>why</tr>{rows}</table>"


def _move(entry: Entry) -> str:
    """The champion before and after, where it is another one."""
    before, after = (each.version if each else "none" for each in (entry.before.champion, entry.after.champion))
    return f"{after}" if before == after else f"{before} &rarr; {after}"


def _who(entry: Entry) -> str:
    name = escape(str(entry.who))
    if not entry.who.url.startswith(("http://", "https://")):
        return name
    return f'<a href="{escape(entry.who.url)}">{name}</a>'


def _row(replica: Replica, wanted: str | None) -> str:
    version = "-" if replica.version is None else f"{replica.version}"
    cells = (
        replica.url,
        version,
        replica.digest[:12] or "-",
        replica.since or "-",
        replica.workers or "-",
        replica.problem,
    )
    state = "" if wanted is None else "good" if replica.ready and replica.digest == wanted else "bad"
    first, *rest = (escape(str(cell)) for cell in cells)
    return f'<tr><td class="{state}">{first}' + "".join(f"<td>{cell}" for cell in rest) + "</tr>"


app = FastAPI(title="Gavel", docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/releases", dependencies=[Depends(requires_access_view(AccessView.PLUGINS))])
def releases() -> HTMLResponse:
    """What ought to be live and what is; an error that says what to do becomes a sentence on the page."""
    from pipeline.settings import read_settings

    try:
        return HTMLResponse(_page(read_settings()), headers=HEADERS)
    except GavelError as error:
        return HTMLResponse(f"<p>{escape(str(error))}</p>", status_code=503, headers=HEADERS)


def _page(settings: Settings) -> str:
    from pipeline import datasets
    from pipeline.releases import read_channel
    from pipeline.store import open_store

    model, store = datasets.load(settings.dataset).model_name, open_store(settings.store)
    channel = read_channel(store, model).channel
    replicas = ask_all(settings.serving_urls, settings.push_token.get_secret_value())
    record = _record(store, model, channel.generation)
    pages = (settings.mlflow_pages or settings.mlflow_uri).rstrip("/")
    return page(model, channel, replicas, f"{pages}/#/models/{model}", record)


def _record(store: Store, model: str, generation: int) -> str:
    """The last changes; a ledger that is damaged is a sentence, for what is live is still worth seeing."""
    from pipeline.releases.ledger import read_entry

    try:
        newest = (read_entry(store, model, each) for each in range(generation, max(0, generation - CHANGES), -1))
        return changes([recorded.entry for recorded in newest if recorded])
    except GavelError as error:
        return f"<p class=bad>{escape(str(error))}</p>"


class MlflowLink(BaseOperatorLink):
    """From the tasks that make, judge and ship a model version to its run in MLflow."""

    name = "MLflow run"
    operators = [_PythonDecoratedOperator]  # noqa: RUF012  (the form Airflow asks for)

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002  (Airflow's signature)
        """The run's page, as the task ``register`` of the same run returned it; empty when there is none."""
        if ti_key.dag_id != DAG_ID or ti_key.task_id not in LINKED_TASKS:
            return ""
        url = _returned(ti_key.run_id).get("run_url") or ""
        return url if url.startswith(("http://", "https://")) else ""


def _returned(run_id: str) -> dict[str, Any]:
    """What ``register`` returned. For a link of a plugin, Airflow asks in the API server, which may read XComs."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    query = XComModel.get_many(run_id=run_id, key="return_value", task_ids="register", dag_ids=DAG_ID)
    with create_session() as session:
        value = session.execute(query.with_only_columns(XComModel.value)).scalar()
    found = json.loads(value) if isinstance(value, str) else value
    return found if isinstance(found, dict) else {}


class GavelReleases(AirflowPlugin):
    """What Airflow finds."""

    name = "gavel_releases"
    fastapi_apps = [{"app": app, "url_prefix": "/gavel", "name": "Gavel"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {"name": "Releases", "href": "/gavel/releases", "destination": "nav", "url_route": "releases"}
    ]
    operator_extra_links = [MlflowLink()]  # noqa: RUF012
