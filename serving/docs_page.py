"""The page at ``/docs``: the live columns, a request that works, and a form to try it. Needs no other host."""

from __future__ import annotations

import json
from html import escape

from pipeline.contract.schema import Column, describe_range
from serving.release import LoadedRelease
from serving.row_schema import example_row

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Gavel: {model}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ddd }}
textarea, pre {{ width: 100%; box-sizing: border-box; font: 14px/1.4 ui-monospace, monospace; padding: .6rem }}
pre {{ background: #f5f5f5; overflow: auto; min-height: 2rem }}
button {{ font: inherit; padding: .3rem 1rem }}
</style></head><body>
<h1>{model}</h1>
<p>{live} Also: <a href="/openapi.json">OpenAPI</a>, <a href="/v1/schema">JSON Schema of a row</a>,
<a href="/v1/model">status</a>, <a href="/readyz">readiness</a>.</p>
{body}
</body></html>
"""

LIVE = """<h2>Try it: <code>POST /v1/predict</code></h2>
<form id="try"><label for="request">Request body</label>
<textarea id="request" rows="18" spellcheck="false">{example}</textarea>
<p><button>Send</button></p></form>
<pre id="answer" aria-live="polite"></pre>
<h2>Columns</h2>
<p>A column left out, or <code>null</code>, means "not known". Answers are in {unit}.</p>
<table><thead><tr><th>name<th>meaning<th>allowed<th>null<th>example</tr></thead><tbody>
{columns}
</tbody></table>
<script>
document.getElementById("try").addEventListener("submit", async (event) => {{
  event.preventDefault();
  const answer = document.getElementById("answer");
  const body = document.getElementById("request").value;
  const headers = {{"Content-Type": "application/json"}};
  try {{
    const response = await fetch("/v1/predict", {{method: "POST", headers, body}});
    answer.textContent = response.status + "\\n" + JSON.stringify(await response.json(), null, 2);
  }} catch (error) {{ answer.textContent = String(error); }}
}});
</script>"""


def docs_page(model: str, release: LoadedRelease | None) -> str:
    """The page for the live release; before the first it says so."""
    if release is None:
        return PAGE.format(model=escape(model), live="No release is live yet.", body="")
    live = f"Live: release {release.version}, learned from sales up to {escape(release.data_day)}."
    example = json.dumps({"rows": [example_row(release.schema)]}, indent=2)
    body = LIVE.format(
        example=escape(example),
        unit=escape(release.schema.output_unit),
        columns="\n".join(_line(column) for column in release.schema.inputs),
    )
    return PAGE.format(model=escape(model), live=live, body=body)


def _line(column: Column) -> str:
    allowed = describe_range(column) if column.kind == "numeric" else "text"
    example = "" if column.example is None else str(column.example)
    nullable = "no" if column.required else "yes"
    cells = (column.name, column.description, allowed, nullable, example)
    return "<tr>" + "".join(f"<td>{escape(cell)}" for cell in cells) + "</tr>"
