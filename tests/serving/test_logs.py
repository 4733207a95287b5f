"""serving/logs.py"""

import json
import logging
import sys

import pytest

from serving.logs import JsonLines, log_to_stderr


def record(message, **more):
    return logging.LogRecord("serving.x", logging.INFO, __file__, 1, message, None, more.pop("exc_info", None), **more)


def test_a_line_is_one_json_object_with_its_fields():
    """Fields stand beside message, level and time."""
    made = record("release\nlive")
    made.fields = {"version": 3}
    line = JsonLines().format(made)
    found = json.loads(line)
    assert "\n" not in line
    assert (found["message"], found["level"], found["version"]) == ("release\nlive", "info", 3)
    assert found["time"].endswith("+00:00")


def test_an_exception_stays_in_its_line():
    """A stack trace is one member of the object, not further lines."""
    try:
        raise ValueError("why")
    except ValueError:
        line = JsonLines().format(record("failed", exc_info=sys.exc_info()))
    assert "ValueError: why" in json.loads(line)["exception"]
    assert "\n" not in line


@pytest.fixture
def _root_logger_restored():
    root = logging.getLogger()
    handlers, level, uvicorn = root.handlers[:], root.level, logging.getLogger("uvicorn").level
    root.handlers = []  # pytest's own must not be closed by basicConfig
    yield
    root.handlers, root.level = handlers, level
    logging.getLogger("uvicorn").setLevel(uvicorn)


@pytest.mark.usefixtures("_root_logger_restored")
def test_log_lines_go_to_standard_error(capsys):
    """After log_to_stderr every logger of the process writes JSON lines there."""
    log_to_stderr()
    logging.getLogger("serving.any").info("hello")
    assert json.loads(capsys.readouterr().err)["message"] == "hello"
