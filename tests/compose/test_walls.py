"""Who can reach whom: from a container in one network, and from a browser that was led astray."""

import pytest

from tests.compose.load import direct
from tests.compose.stack import SERVING

pytestmark = [pytest.mark.compose, pytest.mark.timeout(2400)]

PORTS = (5000, 5432, 8000, 8001, 8080, 8333, 8974, 9333, 18333)
INNER_S3_PORTS = (8080, 8888, 9333, 18080, 18888, 19333)
NOT_FOR_CLIENTS = {"mlflow", "s3", "postgres", "serving", "airflow-api-server", "airflow-scheduler"}


def places(hosts, ports):
    return [f"{host}:{port}" for host in sorted(hosts) for port in ports]


def reachable(stack, network, hosts, ports):
    return set(stack.beside(network, "reach.py", *places(hosts, ports)))


def addresses(stack, services):
    return {address for each in stack.containers() if each.service in services for address in each.addresses.values()}


def test_a_client_of_prices_reaches_the_gateway_and_nothing_else(live):
    """Neither by name nor by address."""
    services = {each.service for each in live.containers()} - {"gateway"}
    hosts = services | addresses(live, services) - {""}
    assert hosts > NOT_FOR_CLIENTS
    assert reachable(live, "edge", hosts, PORTS) == set()
    assert "gateway:8000" in reachable(live, "edge", {"gateway"}, PORTS)


def test_serving_reaches_s3_and_no_database_registry_or_scheduler(live):
    """From the network that it has with S3: S3 alone; from the one of predictions: no store of anything."""
    others = {"mlflow", "postgres", "airflow-api-server", "airflow-scheduler"}
    assert reachable(live, "release-store", others | {"s3"}, PORTS) == {"s3:8333", "s3:18333"}
    assert (
        reachable(live, "predict", {"mlflow", "postgres", "s3"} | addresses(live, {"mlflow", "postgres"}), PORTS)
        == set()
    )


@pytest.mark.parametrize("network", ["object-store", "release-store"])
def test_only_s3_itself_opens_on_seaweedfs(live, network):
    """Filer, master, volume and their gRPC ports, which ask nobody who he is, refuse; S3's control port asks."""
    assert reachable(live, network, {"s3"}, INNER_S3_PORTS) == set()
    assert live.beside(network, "s3_control.py", image=SERVING) == "UNAUTHENTICATED"


def test_mlflow_opens_on_this_machine_for_its_own_name_only(live):
    """A page elsewhere that resolves its own name to this machine is refused."""
    with direct() as session:
        page = session.get(live.url("mlflow"), timeout=60)
        assert page.ok
        assert "<html" in page.text
        foreign = session.get(live.url("mlflow"), headers={"Host": "elsewhere.example"}, timeout=60)
        assert foreign.status_code == 403


@pytest.mark.parametrize(
    "source", ["s3://gavel/work", "file:///etc", "http://elsewhere.example/model", "models:/other/1"]
)
def test_mlflow_takes_no_version_from_elsewhere(live, source):
    """A version is made of a model that was logged to this server."""
    api = f"{live.url('mlflow')}/api/2.0/mlflow/"
    with direct() as session:
        session.post(f"{api}registered-models/create", json={"name": "foreign"}, timeout=60)
        answer = session.post(f"{api}model-versions/create", json={"name": "foreign", "source": source}, timeout=60)
        session.delete(f"{api}registered-models/delete", json={"name": "foreign"}, timeout=60)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
