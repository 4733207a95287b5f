"""Brings the databases and buckets of the stack to what this release needs; again is the same, also half way through.

Not here: the secrets it uses (``make_secrets.py``).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlsplit, urlunsplit

import boto3
import botocore.exceptions
import psycopg2
from psycopg2 import sql

from compose.make_secrets import BUCKETS
from pipeline.errors import GavelError
from pipeline.store import open_store

DATABASES = ("airflow", "mlflow")
PATIENCE_SECONDS = 120


def make_databases(admin: str) -> None:
    """A role and a database of its own for each program; the password is set anew, so that it may be changed."""
    with closing(psycopg2.connect(admin)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SET log_min_error_statement TO panic")  # else a failure would log the password
            for name in DATABASES:
                _make_database(cursor, name, os.environ[f"DATABASE_{name.upper()}_PASSWORD"])


def _make_database(cursor: psycopg2.extensions.cursor, name: str, password: str) -> None:
    role, values = sql.Identifier(name), {"name": name, "password": password}
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %(name)s", values)
    verb = sql.SQL("ALTER" if cursor.fetchone() else "CREATE")
    cursor.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD %(password)s").format(verb, role), values)
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %(name)s", values)
    if not cursor.fetchone():
        cursor.execute(sql.SQL("CREATE DATABASE {0} OWNER {0} ENCODING 'UTF8' TEMPLATE template0").format(role))
    cursor.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(role))


def make_buckets() -> None:
    """The buckets, by the one S3 user who may make them."""
    client = boto3.client("s3")
    there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for name in BUCKETS:
        if name not in there:
            client.create_bucket(Bucket=name)


def upgrade_tables(admin: str) -> None:
    """Airflow's tables are made or upgraded; MLflow makes its own, but refuses to start on older ones."""
    airflow, mlflow = (_of(admin, name) for name in DATABASES)
    _run("airflow", "db", "migrate", AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=airflow)
    if _has_tables(mlflow):
        _run("mlflow", "db", "upgrade", mlflow)


def _of(admin: str, name: str) -> str:
    password = os.environ[f"DATABASE_{name.upper()}_PASSWORD"]
    parts = urlsplit(admin)
    return urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}", path=f"/{name}"))


def _has_tables(database: str) -> bool:
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('alembic_version')")
        found = cursor.fetchone()
    return found is not None and found[0] is not None


def _run(*command: str, **more: str) -> None:
    subprocess.run([sys.executable, "-m", *command], check=True, env={**os.environ, **more})


def patiently(what: str, work: Callable[[], None]) -> None:
    """Servers that have just started may refuse for some seconds more."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return work()
        except (psycopg2.OperationalError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"setup: {what} cannot be made: {error}") from error
            time.sleep(1)


def main() -> None:
    admin = os.environ["DATABASE_ADMIN_URL"]
    patiently("the databases", lambda: make_databases(admin))
    patiently("the buckets", make_buckets)
    try:
        open_store("s3://gavel")  # proves that this S3 server honours conditional writes
    except GavelError as error:
        raise SystemExit(f"setup: {error}") from error
    upgrade_tables(admin)
    print("The databases and buckets are as this release needs them.")


if __name__ == "__main__":
    main()
