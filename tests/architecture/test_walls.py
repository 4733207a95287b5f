"""The walls between the packages: they stand, and a hole in any of them is seen."""

from __future__ import annotations

import ast
import importlib.metadata
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("pipeline", "serving", "dags", "plugins")
LINTER = str(Path(sys.executable).with_name("lint-imports"))
CONTRACTS = [
    each["name"] for each in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
]


def linted(folder: Path) -> subprocess.CompletedProcess[str]:
    """The linter's verdict on the packages in ``folder``; its lines are joined, for it folds long ones."""
    done = subprocess.run([LINTER, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)
    return subprocess.CompletedProcess(done.args, done.returncode, " ".join(done.stdout.split()), done.stderr)


def sources(*packages: str) -> Iterator[tuple[str, ast.Module]]:
    """Each Python file below ``packages``, by its path in the repository."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def imported(tree: ast.AST) -> set[str]:
    """The top-level names that a file imports anywhere, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_all_walls_stand() -> None:
    """import-linter keeps every contract of pyproject.toml."""
    done = linted(ROOT)
    assert done.returncode == 0, done.stdout
    assert f"{len(CONTRACTS)} kept, 0 broken" in done.stdout


HOLES = {
    "The contract imports the standard library and numpy only": ("pipeline/contract/schema.py", "import pandas"),
    "serving reaches the contract and itself, and no training library, even indirectly": (
        "serving/loader.py",
        "import pipeline.store",
    ),
    "pipeline knows neither Airflow nor who runs or serves it": ("pipeline/metrics.py", "import airflow"),
    "Steps never import each other": ("pipeline/export.py", "from pipeline import train"),
    "Only registry.py knows MLflow": ("pipeline/gate.py", "import mlflow"),
    "dags and plugins import no training library themselves": ("dags/car_price_daily.py", "import pandas"),
}


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the linter says about a copy of the packages with a hole in every wall."""
    copy = tmp_path_factory.mktemp("holed")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path, line in HOLES.values():
        source = (copy / path).read_text()
        (copy / path).write_text(
            source.replace("from __future__ import annotations", f"from __future__ import annotations\n{line}", 1)
        )
    done = linted(copy)
    assert done.returncode == 1, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_hole_in_a_wall_is_seen(name: str, holed: str) -> None:
    """A contract that could not be broken would guard nothing; a new one needs a hole here."""
    path, _ = HOLES[name]
    assert f"{name} BROKEN" in holed
    assert path.removesuffix(".py").replace("/", ".") in holed


def test_the_contract_loads_the_standard_library_and_numpy_only() -> None:
    """In a fresh interpreter, by what is really loaded."""
    code = """
import pkgutil, sys
before = set(sys.modules)
import pipeline.contract
for module in pkgutil.iter_modules(pipeline.contract.__path__):
    __import__(f"pipeline.contract.{module.name}")
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(loaded - sys.stdlib_module_names))
print(sorted(name for name in sys.modules if name.startswith("pipeline")))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded, ours = (ast.literal_eval(line) for line in done.stdout.splitlines())
    assert loaded == ["numpy", "pipeline"]
    assert {"pipeline.contract.schema", "pipeline.contract.bundle", "pipeline.contract.channel"} <= set(ours)
    assert not [name for name in ours if not name.startswith("pipeline.contract") and name != "pipeline"]


@pytest.mark.parametrize("package", ["pipeline", "pipeline/contract", "serving"])
def test_a_package_imports_nothing_by_itself(package: str) -> None:
    """Whoever imports the contract would otherwise get the pipeline with it. Serving sets variables there first."""
    assert imported(ast.parse((ROOT / package / "__init__.py").read_text())) <= {"os"}


DOORS = {
    "mlflow": {"pipeline/registry.py"},
    "boto3": {"pipeline/store/s3.py"},
    "botocore": {"pipeline/store/s3.py"},
    "skl2onnx": {"pipeline/conversion.py"},
}


@pytest.mark.parametrize("library", DOORS)
def test_a_library_has_one_door(library: str) -> None:
    """One file knows it, also where it is imported inside a function."""
    assert {path for path, tree in sources(*PACKAGES, "local") if library in imported(tree)} == DOORS[library]


@pytest.mark.parametrize("folder", ["dags", "plugins"])
def test_no_file_that_airflow_loads_shadows_another_module(folder: str) -> None:
    """Airflow imports each file under its bare name, before others of that name."""
    files = [path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts]
    taken = set(sys.stdlib_module_names) | set(importlib.metadata.packages_distributions())
    taken |= {path.name for path in ROOT.iterdir() if path.is_dir()}
    assert files
    assert not {path.stem for path in files} & taken
    assert len({path.stem for path in files}) == len(files)


def test_the_files_that_airflow_parses_are_light() -> None:
    """Outside of functions they import Airflow, the standard library and the light parts of this project."""
    allowed = set(sys.stdlib_module_names) | {"airflow", "pipeline", "pydantic", "fastapi", "starlette", "httpx"}
    allowed |= {"dags", "gavel_triggers"}  # files beside them; of plugins/ under the name that Airflow knows it by
    for path, tree in sources("dags", "plugins"):
        top = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        assert imported(top) <= allowed, path


def test_nothing_is_called_by_a_name_that_says_nothing() -> None:
    """A module's name says what lives in it."""
    vague = {"utils", "util", "common", "helpers", "helper", "base", "core", "manager", "misc"}
    assert not {Path(path).stem for path, _ in sources(*PACKAGES, "local")} & vague
