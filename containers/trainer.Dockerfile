# nin with everything, for training. NOT BUILT HERE: no container engine was at hand, see docs/containers.md.
#   docker build -f containers/trainer.Dockerfile --build-arg DIGEST=sha256:... -t nin-trainer .
# For a GPU also --build-arg TORCH_INDEX=..., the index that pytorch.org names for your driver.
ARG DIGEST
FROM python:3.13-slim@${DIGEST}
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /source
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY src ./src
RUN python -m pip install --no-cache-dir --disable-pip-version-check -c constraints.txt hatchling \
    && python -m pip install --no-cache-dir --disable-pip-version-check -c constraints.txt \
        --no-deps --index-url "${TORCH_INDEX}" torch \
    && python -m pip install --no-cache-dir --disable-pip-version-check -c constraints.txt \
        --no-build-isolation ".[train]"
ENV HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /work
USER 10001:10001
ENTRYPOINT ["nin"]
CMD ["--help"]
