"""One stack for all tests of this folder, in the order in which a team would meet it; gone at the end."""

import pytest

from tests.compose import stand_ins
from tests.compose.days import Days
from tests.compose.stack import new_stack

# Each builds on what the ones before it left: a stack that works, then two versions, then trouble, then more of it.
ORDER = (
    "test_up", "test_login", "test_days", "test_walls", "test_s3", "test_releases", "test_restarts", "test_kills",
    "test_secrets", "test_down", "test_backup", "test_scale", "test_celery", "test_monitoring",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    ours = [item for item in items if item.path.parent.name == "compose"]
    ours.sort(key=lambda item: ORDER.index(item.path.stem) if item.path.stem in ORDER else len(ORDER))
    items[:] = [item for item in items if item not in ours] + ours


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """A failure shows which service was not well, with its last words."""
    report = yield
    if report.failed and "stack" in getattr(item, "funcargs", {}):
        item.funcargs["stack"].tell()
    return report


@pytest.fixture(scope="session")
def stack():
    """Built and up, every service healthy."""
    made = new_stack(stand_ins.stand_ins())
    made.remove()
    try:
        made.compose("build", timeout=1800)
        made.up()
    except BaseException:
        made.tell()
        made.remove()
        raise
    yield made
    made.remove()


@pytest.fixture(scope="session")
def days(stack):
    return Days(stack)


@pytest.fixture(scope="session")
def two_days(days):
    """The first day goes live, and then the second one under load: its run and what the clients met."""
    days.unpause()
    days.finish(days.start())
    first = days.facts()
    with days.client().asking() as tally:
        run = days.finish(days.start())
    return first, run, tally


@pytest.fixture
def live(two_days, stack):
    """A stack with a live version, well."""
    stack.wait_until_well()
    return stack
