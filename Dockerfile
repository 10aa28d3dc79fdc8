# syntax=docker/dockerfile:1

FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements-server.lock .
RUN pip wheel --require-hashes --no-deps --only-binary :all: --wheel-dir wheels -r requirements-server.lock
# From here on pip takes nothing but what was verified above.
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/build/wheels
COPY pyproject.toml README.md LICENSE ./
COPY config config
COPY migrations migrations
COPY orchestrator orchestrator
COPY worker_client worker_client
# The lock has the versions. pip comes with sqlite-utils, which would install plugins by it.
# hadolint ignore=DL3013
RUN pip wheel --no-deps --wheel-dir wheels . \
 && python -m venv --without-pip /app \
 && pip --python /app/bin/python install "task-orchestrator[all]" \
 && pip --python /app/bin/python uninstall --yes pip

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="Task Orchestrator" \
      org.opencontainers.image.description="A durable queue per work directory that coding agents and plain workers pull from" \
      org.opencontainers.image.version="0.6.0" \
      org.opencontainers.image.licenses="MIT"
# Nothing is installed into it any more. The user is a number, not a name: Kubernetes checks that it is not root's.
RUN python -m pip uninstall --yes --quiet --root-user-action ignore pip \
 && rm -r "$(python -c 'import ensurepip; print(*ensurepip.__path__)')" \
 && groupadd --gid 10001 orchestrator \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin orchestrator \
 && install -d -o 10001 -g 10001 -m 0700 /data /logs
COPY --from=build /app /app
# Beyond loopback the server starts with a key only: `keys create`, or APP_AUTH_BOOTSTRAP_KEY.
ENV PATH="/app/bin:$PATH" PYTHONDONTWRITEBYTECODE=1 \
    APP_ENV=production APP_SERVER_HOST=0.0.0.0 APP_SERVER_PORT=8080 APP_DATABASE_URL=sqlite:////data/tasks.db
USER 10001:10001
WORKDIR /
VOLUME ["/data", "/logs"]
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m --start-interval=1s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"APP_SERVER_PORT\"]}/health/live')"]
ENTRYPOINT ["orchestrator"]
CMD ["serve"]
