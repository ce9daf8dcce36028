# syntax=docker/dockerfile:1
# The submitter and its browser.
#
#   docker build -f deploy/docker/worker.Dockerfile -t directorybolt/submitter:RELEASE .
#   docker run --read-only --tmpfs /tmp --shm-size 1g --cap-drop ALL --security-opt no-new-privileges \
#     --security-opt seccomp=deploy/docker/chromium-seccomp.json directorybolt/submitter:RELEASE
#
# Pin the base by digest in a release: --build-arg PYTHON_IMAGE=python@sha256:…
ARG PYTHON_IMAGE=python:3.11.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
RUN python -m venv /venv
# Dependencies first: they change less often than the code, and only wheels with known hashes get in.
COPY requirements.txt ./
RUN /venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.txt
COPY pyproject.toml README.md ./
COPY proto/directorybolt proto/directorybolt
COPY eventstore eventstore
COPY services services
COPY sandbox sandbox
COPY stack stack
# hatchling is among the pins: without isolation nothing is fetched here.
RUN /venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation --no-index .

FROM ${PYTHON_IMAGE} AS submitter
# Debian's own browser gets Debian's security updates, and Debian removes the version before: a pinned one
# would stop building on the day of every update. The fonts keep proof pictures legible in any language.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        chromium-headless-shell \
        fonts-liberation \
        fonts-noto-cjk \
        fonts-noto-color-emoji \
        fonts-noto-core \
        tini \
    && rm -rf /var/lib/apt/lists/*
# A passwd line, not a bare number: Chromium and its sandbox ask who they are.
RUN groupadd --gid 10001 directorybolt \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin directorybolt
COPY --from=build /venv /venv
COPY deploy/docker/health_probe.py /opt/directorybolt/health_probe.py
# Nothing is written outside /tmp, so the root can be read-only: --read-only --tmpfs /tmp
ENV PATH=/venv/bin:$PATH \
    HOME=/tmp \
    DIRECTORYBOLT_CHROMIUM=/usr/bin/chromium-headless-shell \
    DIRECTORYBOLT_BIND=0.0.0.0 \
    DIRECTORYBOLT_GRPC_PORT=8080 \
    DIRECTORYBOLT_HEALTH_PORT=8081 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
EXPOSE 8080 8081
WORKDIR /tmp
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "/opt/directorybolt/health_probe.py"]
# Chromium leaves renderers behind when it crashes; tini reaps them and passes SIGTERM on.
ENTRYPOINT ["tini", "--", "python", "-m", "services.submitter"]
