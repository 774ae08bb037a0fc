# Two images from one file: `api` (no ML stack) and `worker` (PyTorch; uses a GPU where it is given
# one). pip reads a mirror or a wheel folder of your own from these build arguments.
ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim AS base
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    KIZU_HOST=0.0.0.0 \
    KIZU_DATA_DIR=/data \
    KIZU_LOG_JSON=true
WORKDIR /opt/kizu
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin kizu \
    && install --directory --owner kizu --group kizu /data
COPY pyproject.toml requirements.lock README.md LICENSE ./

FROM base AS api
RUN mkdir app && pip install --constraint requirements.lock .
COPY app app
COPY migrations migrations
RUN pip install --no-deps --editable .
USER kizu
VOLUME /data
EXPOSE 8600
CMD ["kizu", "serve"]

FROM base AS worker
RUN mkdir app && pip install --constraint requirements.lock '.[worker]'
COPY app app
COPY migrations migrations
COPY worker worker
RUN pip install --no-deps --editable .
USER kizu
VOLUME /data
CMD ["kizu", "worker", "--queue", "cpu"]
