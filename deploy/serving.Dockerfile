# The serving container: what the serving lock names and the code that serving may import, nothing else.
#
#   docker build -f deploy/serving.Dockerfile -t gavel-serving .
#   docker run --read-only --tmpfs /tmp -p 127.0.0.1:8000:8000 -v STORE:/store:ro \
#     -v ./credentials.json:/credentials.json:ro -e SERVING_CREDENTIALS=/credentials.json gavel-serving
#
# Every setting is a SERVING_ variable (serving/settings.py). It listens beyond loopback, so callers need keys.
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ARG PIP_INDEX_URL
COPY requirements/serving.lock /
RUN python3 -m venv /venv \
 && /venv/bin/python -m pip install --no-cache-dir --require-hashes --no-deps --no-compile -r /serving.lock \
 && /venv/bin/python -m pip uninstall --yes --quiet pip \
 # headers, type stubs and the libraries' own tests are for developers
 && find /venv -depth \( -name tests -o -name testing -o -name include -o -name __pycache__ \) -type d -exec rm -rf {} + \
 # onnxruntime brings its library twice (the second is for C programs) and tools for making models
 && cd /venv/lib/python3*/site-packages/onnxruntime && rm -rf capi/libonnxruntime.so* quantization tools transformers \
 && find /venv -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name '*.h' \) -delete \
 && python3 -m compileall -q /venv/lib
COPY pipeline/__init__.py /app/pipeline/
COPY pipeline/contract /app/pipeline/contract
COPY serving /app/serving
RUN python3 -m compileall -q /app

FROM ${PYTHON_IMAGE}
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    SERVING_HOST=0.0.0.0 SERVING_PORT=8000 SERVING_GRPC_PORT=8001 SERVING_STORE=file:/store
USER 10001:10001
EXPOSE 8000 8001
HEALTHCHECK --interval=5s --timeout=4s --start-period=20s --retries=3 \
  CMD ["python", "-m", "serving.healthcheck"]
ENTRYPOINT ["python", "-m", "serving"]
