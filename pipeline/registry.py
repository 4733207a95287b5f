"""The model registry in Gavel's words: runs, model versions, tags, aliases. The only file that knows MLflow.

MLflow has no idempotency key and no compare-and-set, and its client sends a request again when the reply is
lost. So whatever is made carries a tag that is written together with it; after making it we look again, the
first one stands and the others are removed. Not here: what is worth writing down (``pipeline/register.py``).
"""

from __future__ import annotations

import functools
import json
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import requests

from pipeline.contract.bundle import sha256
from pipeline.errors import RegistryUnavailable
from pipeline.registry_entries import Aliased, DataUse, ModelFolder, Run, Version
from pipeline.registry_limits import limit, patience, translated

if TYPE_CHECKING:
    from pipeline.settings import Settings

CHAMPION = "champion"
RUN_KEY, RUN_FINGERPRINT, ATTEMPT = "gavel.run_key", "gavel.fingerprint", "gavel.attempt"
FINGERPRINT = "fingerprint"


P = ParamSpec("P")
T = TypeVar("T")


def _spoken(method: Callable[Concatenate[Registry, P], T]) -> Callable[Concatenate[Registry, P], T]:
    """Every error of MLflow or its transport becomes one of ours."""

    @functools.wraps(method)
    def call(self: Registry, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # how MLflow uses pandas, pydantic and SQLAlchemy is not ours to mend
            from mlflow.exceptions import MlflowException

            try:
                return method(self, *args, **kwargs)
            except (MlflowException, requests.RequestException) as error:
                raise translated(error, self.uri) from error

    return call


def open_registry(settings: Settings) -> Registry:
    """The one that the settings name."""
    return Registry(settings.mlflow_uri, public_url=settings.mlflow_pages or None)


class Registry:
    """MLflow at ``uri``: a server (``http://...``) or, without one, a database (``sqlite:///...``).

    ``artifact_root`` is where files go without a server (default: a folder beside the SQLite file);
    ``public_url`` is the server's address for people, when it is another one than for programs. Every
    method raises ``RegistryUnavailable`` when MLflow does not answer and ``RegistryRefused`` when it says no.
    """

    def __init__(self, uri: str, artifact_root: str | None = None, public_url: str | None = None) -> None:
        limit()
        self.uri = uri
        self._direct = not uri.startswith("http")
        self._artifacts = artifact_root or (uri.partition(":///")[2].rpartition("/")[0] or ".") + "/mlflow-artifacts"
        self._page = "" if self._direct else (public_url or uri).rstrip("/")

    @functools.cached_property
    def client(self) -> Any:
        import mlflow

        # A database without a server looks up logged models by the process-wide address, not the client's
        # (the TODO in create_model_version of mlflow's sqlalchemy_store).
        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        return mlflow.MlflowClient(self.uri, self.uri)

    # --- runs ---------------------------------------------------------------------------------------------

    @_spoken
    def start_run(
        self,
        experiment: str,
        about: str,
        *,
        key: str,
        fingerprint: str,
        name: str,
        tags: Mapping[str, str],
        attempt: str,
    ) -> Run:
        """The one run of ``key`` and ``fingerprint``, found or made. ``attempt`` is a random word of this call."""
        experiment_id = self._experiment(experiment, about)
        own = {RUN_KEY: key.replace("'", ""), RUN_FINGERPRINT: fingerprint}  # MLflow's filters know no escape
        found = self._runs(experiment_id, own)
        if not found:
            self.client.create_run(experiment_id, run_name=name, tags={**tags, **own, ATTEMPT: attempt})
            found = self._runs(experiment_id, own)
        for extra in found[1:]:
            if extra.data.tags.get(ATTEMPT) == attempt:
                self.client.delete_run(extra.info.run_id)
        info = found[0].info
        page = f"{self._page}/#/experiments/{experiment_id}/runs/{info.run_id}"
        return Run(info.run_id, experiment_id, info.start_time, page if self._page else "")

    def _runs(self, experiment_id: str, tags: Mapping[str, str]) -> list[Any]:
        query = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        runs = self.client.search_runs([experiment_id], query)
        return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))

    def _experiment(self, name: str, about: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(name)
        if found is None:
            location = f"{self._artifacts}/{name}" if self._direct else None
            try:
                # The kind lets MLflow's page open with training runs instead of its pages for language models.
                tags = {"mlflow.note.content": about, "mlflow.experimentKind": "custom_model_development"}
                self.client.create_experiment(name, location, tags)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            found = self.client.get_experiment_by_name(name)
        return str(found.experiment_id)

    @_spoken
    def write_down(
        self, run: Run, model: str, params: Mapping[str, Any], metrics: Mapping[str, float], data: DataUse
    ) -> None:
        """Parameters, metrics (of the run and of its logged ``model``) and the data used. Again is the same."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric, Param

        # The run's own start time, so that a repetition writes the same points and no second ones.
        points = [Metric(name, value, run.started, 0, model_id=model) for name, value in metrics.items()]
        self.client.log_batch(run.id, points, [Param(name, str(value)) for name, value in params.items()])
        source, profile = json.dumps(data.source), json.dumps(data.profile)
        schema = json.dumps({"mlflow_colspec": [{"name": name, "type": kind} for name, kind in data.columns]})
        used = Dataset(data.name, data.digest[:36], "gavel", source, schema, profile)
        self.client.log_inputs(run.id, [DatasetInput(used, [InputTag("mlflow.data.context", "training")])])
        self.client.log_outputs(run.id, [LoggedModelOutput(model, step=0)])

    @_spoken
    def upload(self, run: Run, files: Mapping[str, bytes]) -> None:
        """Files of a run, by path."""
        with tempfile.TemporaryDirectory() as folder, patience():
            _write(Path(folder), files)
            self.client.log_artifacts(run.id, folder)

    @_spoken
    def finish_run(self, run: Run, tags: Mapping[str, str], *, failed: bool = False) -> None:
        from mlflow.entities import RunTag

        self.client.log_batch(run.id, tags=[RunTag(name, value) for name, value in tags.items()])
        self.client.set_terminated(run.id, "FAILED" if failed else "FINISHED")

    # --- models and versions ------------------------------------------------------------------------------

    @_spoken
    def add_model(
        self, run: Run, name: str, tags: Mapping[str, str], params: Mapping[str, Any], folder: ModelFolder
    ) -> str:
        """Upload a model folder as a logged model of the run; its id. Until it is whole it counts as unfinished."""
        texts = {key: str(value) for key, value in params.items()}
        logged = self.client.create_logged_model(run.experiment_id, name, run.id, dict(tags), texts, "regressor")
        with tempfile.TemporaryDirectory() as scratch, patience():
            _save(Path(scratch, "model"), folder, run, logged)
            self.client.log_model_artifacts(logged.model_id, str(Path(scratch, "model")))
        self.client.finalize_logged_model(logged.model_id, "READY")
        return str(logged.model_id)

    @_spoken
    def remove_other_models(self, run: Run, keep: str) -> None:
        """Remove what killed or lost attempts of this run left behind."""
        for logged in self.client.search_logged_models([run.experiment_id], f"source_run_id = '{run.id}'"):
            if logged.model_id != keep:
                self.client.delete_logged_model(logged.model_id)

    @_spoken
    def add_version(
        self, model: str, about: str, *, run: Run, logged_model: str, tags: Mapping[str, str], card: str
    ) -> Version:
        """The one version of ``tags["fingerprint"]``; an earlier one stands. ``about`` describes the model."""
        self._make_model(model, about)
        self.client.create_model_version(
            model, f"models:/{logged_model}", run.id, dict(tags), None, card, None, logged_model
        )
        found = self._settled(model, tags[FINGERPRINT])
        if found is None:
            raise RegistryUnavailable(f"the version of {model} just made is not there; run again")
        return found

    def _make_model(self, model: str, about: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(model, description=about)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    @_spoken
    def find_version(self, model: str, fingerprint: str) -> Version | None:
        """The version of a fingerprint, if there is one."""
        return self._settled(model, fingerprint)

    def _settled(self, model: str, fingerprint: str) -> Version | None:
        """The lowest version stands: MLflow numbers them one after the other and never again, so whoever

        made a higher one sees the lower one. A higher one is removed by its maker, or by the next who looks.
        """
        query = f"name = '{model}' and tags.{FINGERPRINT} = '{fingerprint}'"
        found = sorted(self.client.search_model_versions(query), key=lambda version: int(version.version))
        for extra in found[1:]:
            self._remove_version(model, extra.version)
        return _version(found[0]) if found else None

    def _remove_version(self, model: str, number: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.delete_model_version(model, number)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise

    @_spoken
    def version(self, model: str, number: int) -> Version:
        return _version(self.client.get_model_version(model, str(number)))

    @_spoken
    def tag_version(self, model: str, number: int, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():
            self.client.set_model_version_tag(model, str(number), name, value)

    @_spoken
    def add_findings(
        self,
        model: str,
        number: int,
        *,
        files: Mapping[str, bytes],
        tags: Mapping[str, str],
        about: Callable[[str], str],
    ) -> None:
        """What was found out of a version: files of its run, its description as ``about`` makes it of the old, tags."""
        found = self.client.get_model_version(model, str(number))
        with tempfile.TemporaryDirectory() as folder, patience():
            _write(Path(folder), files)
            self.client.log_artifacts(found.run_id, folder)
        self.client.update_model_version(model, str(number), about(found.description or ""))
        for name, value in tags.items():
            self.client.set_model_version_tag(model, str(number), name, value)

    @_spoken
    def set_alias(self, model: str, number: int, alias: str = CHAMPION) -> None:
        """Move the alias, then note in a tag that it was us: where alias and tag differ, a person moved the alias."""
        self.client.set_registered_model_alias(model, alias, str(number))
        self.client.set_registered_model_tag(model, f"gavel.{alias}", str(number))

    @_spoken
    def remove_alias(self, model: str, alias: str = CHAMPION) -> None:
        """The alias names no version, and we did that."""
        self.client.delete_registered_model_alias(model, alias)
        self.client.delete_registered_model_tag(model, f"gavel.{alias}")

    @_spoken
    def aliased(self, model: str, alias: str = CHAMPION) -> Aliased:
        """What the alias names and what we let it name, as one reading."""
        from mlflow.exceptions import MlflowException

        try:
            found = self.client.get_registered_model(model)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return Aliased(None, None)
            raise
        named, noted = found.aliases.get(alias), found.tags.get(f"gavel.{alias}")
        return Aliased(int(named) if named else None, int(noted) if noted else None)

    @_spoken
    def alias(self, model: str, alias: str = CHAMPION) -> int | None:
        """The version that an alias names; None when there is no such alias or no such model."""
        from mlflow.exceptions import MlflowException

        try:
            return int(self.client.get_model_version_by_alias(model, alias).version)
        except MlflowException as error:
            # A missing alias is INVALID_PARAMETER_VALUE, a missing model RESOURCE_DOES_NOT_EXIST.
            if error.error_code in {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"}:
                return None
            raise


def _save(path: Path, folder: ModelFolder, run: Run, logged: Any) -> None:
    import mlflow.onnx
    import onnx
    from mlflow.models import Model, ModelSignature

    inputs = [{"name": name, "type": kind, "required": required} for name, kind, required in folder.inputs]
    outputs = [{"name": name, "type": "double", "required": True} for name in folder.outputs]
    model = Model(logged.artifact_location, run.id, model_uuid=logged.model_id, model_id=logged.model_id)
    mlflow.onnx.save_model(
        onnx.load_from_string(folder.files["model.onnx"]),
        str(path),
        mlflow_model=model,
        signature=ModelSignature.from_dict({"inputs": json.dumps(inputs), "outputs": json.dumps(outputs)}),
        input_example=folder.example,
        pip_requirements=list(folder.requirements),
        onnx_execution_providers=["CPUExecutionProvider"],
        save_as_external_data=False,
    )
    _write(path, folder.files)  # also model.onnx: save_model wrote it anew, and the digest is of these bytes
    model.flavors["python_function"].update(loader_module=folder.loader, code="code")
    model.save(str(path / "MLmodel"))
    if sha256((path / "model.onnx").read_bytes()) != folder.sha256:
        raise RegistryUnavailable("model.onnx was written wrongly to the temporary folder; is the disk full?")


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _version(found: Any) -> Version:
    logged_model = str(found.source).rpartition("models:/")[2]
    return Version(found.name, int(found.version), found.run_id or "", logged_model, dict(found.tags))
