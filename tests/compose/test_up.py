"""What `docker compose up -d` starts on a machine where nothing was set: every container as a careful operator has it."""

import json

import pytest

from tests.compose.stack import NAME, run

pytestmark = [pytest.mark.compose, pytest.mark.timeout(2400)]

ONCE = {"secrets", "setup", "login"}
SERVICES = {
    "postgres", "s3", "mlflow", "airflow-api-server", "airflow-scheduler", "airflow-dag-processor",
    "airflow-triggerer", "serving", "gateway",
}  # fmt: skip


def staying(stack):
    return [container for container in stack.containers() if container.stays]


def test_all_of_it_comes_up(stack):
    """Every service runs and is healthy, two replicas of serving; what is done once has ended well."""
    found = stack.containers()
    assert {each.service for each in found if not each.stays} == ONCE
    assert {each.service for each in found if each.stays} == SERVICES
    assert len(stack.containers("serving")) == 2
    assert [each.name for each in found if not each.is_well] == []
    assert [each.name for each in staying(stack) if not each.document["State"].get("Health")] == []


def test_only_this_machine_can_reach_it(stack):
    """Every published port is on 127.0.0.1, and there are three: Airflow, MLflow, the gateway."""
    published = {
        (each.service, binding["HostIp"])
        for each in stack.containers()
        for bindings in each.document["NetworkSettings"]["Ports"].values()
        for binding in bindings or ()
    }
    assert published == {(name, "127.0.0.1") for name in ("airflow-api-server", "mlflow", "gateway")}
    assert not [each.name for each in stack.containers() if each.host["NetworkMode"] == "host"]


def test_no_container_may_do_more_than_it_must(stack):
    """Read-only root, no capability but those PostgreSQL drops its own with, no new ones, bounds, a restart policy."""
    for each in staying(stack):
        host = each.host
        assert host["ReadonlyRootfs"], each.name
        assert host["CapDrop"] == ["ALL"], each.name
        assert not host["CapAdd"] or each.service == "postgres", each.name
        assert not host["Privileged"], each.name
        assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"]), each.name
        assert host["Memory"] > 0, each.name
        assert host["RestartPolicy"]["Name"] == "unless-stopped", each.name
        assert host["LogConfig"]["Config"]["max-size"], each.name
        assert "docker.sock" not in json.dumps(each.document["Mounts"]), each.name


def test_nothing_runs_as_root(stack):
    """Every process of every container but its init is another user's, PostgreSQL's as well."""
    for each in staying(stack):
        rows = run("docker", "top", each.name, "-eo", "pid,uid,comm").splitlines()[1:]
        roots = [row.split()[2] for row in rows if row.split()[1] == "0"]
        assert set(roots) <= ({"docker-init"} if each.service == "postgres" else set()), each.name


def test_up_again_changes_nothing(stack):
    """The same containers run on: no restart, nothing made anew."""

    def running():
        return {each.name: (each.document["Id"], each.document["State"]["StartedAt"]) for each in staying(stack)}

    before = running()
    stack.up()
    assert running() == before


def test_the_networks_have_no_way_out_but_where_one_is_needed(stack):
    """Only those with a published port or a source of sales reach beyond this machine."""
    names = run("docker", "network", "ls", "-q", "--filter", f"label=com.docker.compose.project={NAME}").split()
    open_ones = {
        each["Name"] for each in json.loads(run("docker", "network", "inspect", *names)) if not each["Internal"]
    }
    assert open_ones == {f"{NAME}_{name}" for name in ("edge", "pages", "control")}
