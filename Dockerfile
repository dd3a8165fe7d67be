# One image for every process of Jeongsi; the command says which. Built from the hash-locked requirements
# that the tests ran with.
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
RUN python -m venv /app/.venv
COPY requirements.txt ./
RUN .venv/bin/pip install --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY runtime ./runtime
COPY models ./models
COPY gateways ./gateways
COPY beat ./beat
COPY tasks ./tasks
COPY workers ./workers
COPY api ./api
COPY ops ./ops
RUN .venv/bin/pip install --no-deps --no-build-isolation --no-index -e . \
    && .venv/bin/python -m compileall -q runtime models gateways beat tasks workers api ops

FROM python:3.11-slim-bookworm
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    ENVIRONMENT=production JEONGSI_ENV_FILE= JEONGSI_HOME=/var/lib/jeongsi JEONGSI_LOG_FORMAT=json
RUN groupadd --system --gid 10001 jeongsi \
    && useradd --system --uid 10001 --gid jeongsi --home-dir /var/lib/jeongsi --shell /usr/sbin/nologin jeongsi \
    && install -d -o jeongsi -g jeongsi -m 0700 /var/lib/jeongsi
COPY --from=build /app /app
WORKDIR /app
USER jeongsi
# The journal: evidence that Postgres could not take. It must outlive the container.
VOLUME /var/lib/jeongsi
STOPSIGNAL SIGTERM
CMD ["celery", "-A", "workers", "worker", "-Q", "send"]
