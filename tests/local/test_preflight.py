"""What is in the way is one sentence."""

import socket
from types import SimpleNamespace

import pytest

from local import preflight
from local.errors import CannotRun
from local.layout import HOST, Ports


@pytest.fixture
def taken():
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


def free():
    with socket.create_server((HOST, 0)) as server:
        return server.getsockname()[1]


def test_a_taken_port_is_named_with_what_changes_it(taken):
    """And another one that is free."""
    with pytest.raises(CannotRun) as error:
        preflight.check_ports(Ports(airflow=free(), mlflow=taken, serving=free()))
    assert f"port {taken} is taken by another program; choose another one for mlflow" in str(error.value)
    proposed = int(str(error.value).rpartition("PORT_MLFLOW=")[2])
    assert preflight.is_free(proposed)


def test_a_port_on_all_addresses_counts_as_taken():
    """Not only one on this address."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert not preflight.is_free(server.getsockname()[1])


def test_two_services_on_one_port_are_refused():
    """Before one of them fails."""
    with pytest.raises(CannotRun, match="given to two services"):
        preflight.check_ports(Ports(airflow=18001, mlflow=18001, serving=18002))


def test_a_full_disk_is_a_sentence(monkeypatch, tmp_path):
    """With what there is and what is needed."""
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_200_000_000))
    with pytest.raises(CannotRun, match=r"has 1\.2 GB free and this run needs 3\.0 GB"):
        preflight.check_disk(tmp_path, preflight.FIRST_RUN_BYTES)
    preflight.check_disk(tmp_path, preflight.LATER_RUN_BYTES)


def test_a_running_stack_has_its_ports(taken, tmp_path, capsys):
    """They are not held against it."""
    arguments = ["--state", str(tmp_path), "--port-airflow", str(taken)]
    assert preflight.main(arguments) == 1
    assert capsys.readouterr().err.startswith(f"Cannot run: port {taken} is taken")
    (tmp_path / "running.json").write_text("{}")
    assert preflight.main(arguments) == 0
