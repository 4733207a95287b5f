"""The DAG file as Airflow reads it, and its tables."""

import sys
import warnings
from importlib.util import module_from_spec, spec_from_file_location

import pytest

from tests.airflow_home import REPOSITORY, make_airflow_home, make_tables

make_airflow_home()


@pytest.fixture(scope="session")
def module():
    """The DAG's file, imported anew."""
    spec = spec_from_file_location("car_price_daily_file", REPOSITORY / "dags" / "car_price_daily.py")
    found = module_from_spec(spec)
    sys.modules[spec.name] = found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="session")
def tables():
    make_tables()
