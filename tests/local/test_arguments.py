"""What may be asked of ``make run``."""

from pathlib import Path

import pytest

from local.arguments import parse
from local.layout import Ports, default_state


def test_nothing_said_means_the_usual_ports_and_the_last_source():
    """And the folder .gavel of the repository."""
    options = parse([])
    assert (options.ports, options.source, options.state) == (Ports(8080, 5000, 8000), None, default_state())


def test_each_port_has_its_own_argument():
    """The other ones stay."""
    assert parse(["--port-airflow", "9090", "--port-serving", "1"]).ports == Ports(9090, 5000, 1)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "abc", "", "8e3", "\u0661"])
def test_what_is_not_a_port_is_refused(port, capsys):
    """In words."""
    with pytest.raises(SystemExit):
        parse(["--port-mlflow", port])
    assert "is not a port (1 to 65535)" in capsys.readouterr().err or port == "-1"


def test_a_folder_source_is_made_absolute(monkeypatch, tmp_path):
    """Services run somewhere else than the person."""
    monkeypatch.chdir(tmp_path)
    assert parse(["--source", "folder:../x y/a.csv"]).source == f"folder:{tmp_path.parent}/x y/a.csv"
    assert parse(["--source", "folder:~/a.csv"]).source == f"folder:{Path.home()}/a.csv"


@pytest.mark.parametrize("source", ["simulated:", "s3://bucket/prefix", "https://example.org/{day}.csv", "nonsense"])
def test_other_sources_stay_as_they_are(source):
    """Whether they exist is the pipeline's question."""
    assert parse(["--source", source]).source == source
