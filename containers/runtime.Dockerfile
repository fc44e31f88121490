# nin serve, without torch: one process, no root, nothing written. NOT BUILT HERE: no container engine was at hand, see
# docs/containers.md. Which image of Python is yours to say, by its digest, so that a build today is one of tomorrow:
#   docker buildx imagetools inspect python:3.13-slim --format '{{.Manifest.Digest}}'
#   docker build -f containers/runtime.Dockerfile --build-arg DIGEST=sha256:... -t nin-runtime .
ARG DIGEST
FROM python:3.13-slim@${DIGEST} AS build
WORKDIR /source
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY src ./src
RUN python -m pip install --no-cache-dir --disable-pip-version-check -c constraints.txt hatchling \
    && python -m hatchling build -t wheel -d /wheel \
    && python -m venv --without-pip /opt/nin \
    && python -m pip --python /opt/nin/bin/python install --no-cache-dir --disable-pip-version-check \
        -c constraints.txt /wheel/*.whl

FROM python:3.13-slim@${DIGEST}
COPY --from=build /opt/nin /opt/nin
ENV PATH=/opt/nin/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /models
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["nin", "serve", "--host", "0.0.0.0", "--port", "8000", "--public"]
CMD ["nin-cifar10"]
