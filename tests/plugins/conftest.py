"""An Airflow home before anything imports Airflow."""

from tests.airflow_home import make_airflow_home

make_airflow_home()
