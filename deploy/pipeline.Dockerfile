# The pipeline's container: Airflow, MLflow and the steps; each service of docker-compose.yaml runs one program of it.
#
#   docker build -f deploy/pipeline.Dockerfile -t gavel-pipeline .
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ARG PIP_INDEX_URL
COPY requirements/uv.lock /
RUN python3 -m venv /uv && /uv/bin/python -m pip install --no-cache-dir --require-hashes -r /uv.lock
COPY requirements/main.lock requirements/server.lock /
RUN python3 -m venv --without-pip /venv \
 && UV_DEFAULT_INDEX=$PIP_INDEX_URL /uv/bin/uv pip sync --quiet --no-cache --python /venv/bin/python \
      --require-hashes /main.lock /server.lock \
 # the libraries' own tests, headers and type stubs are for developers
 && find /venv -depth \( -name tests -o -name include -o -name __pycache__ \) -type d -exec rm -rf {} + \
 && find /venv -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name '*.h' \) -delete \
 && python3 -m compileall -q -j 0 /venv/lib
COPY pipeline /app/pipeline
COPY dags /app/dags
COPY plugins /app/plugins
COPY local /app/local
COPY compose /app/compose
RUN python3 -m compileall -q /app

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10000 --no-create-home --home-dir /opt/airflow gavel && install -d -o gavel /opt/airflow /logs
COPY --from=build /venv /venv
COPY --chmod=755 deploy/with-secrets /usr/local/bin/
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 AIRFLOW_HOME=/opt/airflow \
    GOMP_SPINCOUNT=1000 ORT_DISABLE_TELEMETRY=1
USER 10000:10000
ENTRYPOINT ["with-secrets"]
