# syntax=docker/dockerfile:1
# Intake, scheduler, monitor and gateway: one image content, one target each, so that every entrypoint is exec form.
#
#   docker build -f deploy/docker/services.Dockerfile --target intake -t directorybolt/intake:RELEASE .
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

FROM ${PYTHON_IMAGE} AS runtime
# A passwd line, not a bare number: libraries that ask who they are get an answer.
RUN groupadd --gid 10001 directorybolt \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin directorybolt
COPY --from=build /venv /venv
COPY deploy/docker/health_probe.py /opt/directorybolt/health_probe.py
# Nothing is written outside /tmp, so the root can be read-only: --read-only --tmpfs /tmp
ENV PATH=/venv/bin:$PATH \
    HOME=/tmp \
    DIRECTORYBOLT_BIND=0.0.0.0 \
    DIRECTORYBOLT_GRPC_PORT=8080 \
    DIRECTORYBOLT_HEALTH_PORT=8081 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
EXPOSE 8080 8081
WORKDIR /tmp
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "/opt/directorybolt/health_probe.py"]

# The services start no children and handle SIGTERM themselves, so they may be process 1. Run them with
# --init all the same where something else (an exec, a debugger) may leave orphans behind.
FROM runtime AS intake
ENTRYPOINT ["python", "-m", "services.intake"]

FROM runtime AS scheduler
ENTRYPOINT ["python", "-m", "services.scheduler"]

FROM runtime AS monitor
ENTRYPOINT ["python", "-m", "services.monitor"]

FROM runtime AS gateway
ENTRYPOINT ["python", "-m", "services.gateway"]
