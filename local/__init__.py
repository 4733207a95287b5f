"""The whole stack on one machine, for ``make run`` and ``make stop``: MLflow, serving and Airflow, supervised."""
