# The sidecar as an image: `docker build -t ai-gateway-extproc .`, or `make image`. docs/image.md tells what is in it.
#
# What is installed is what uv.lock says, as wheels, with hashes checked. Files have one time, and byte code is written
# in one order: the same source on the same base gives the same /opt/extproc.

# Any Python from 3.11 with venv and, for the first stage, pip. Pin it by digest where a build has to be repeatable.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
# As in the Makefile.
ARG UV_VERSION=0.13.8
# Where packages come from, where that is not PyPI: pip brings uv, uv brings the rest.
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
ARG SOURCE_DATE_EPOCH=1577836800
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0 \
    UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never UV_NO_INSTALLER_METADATA=1 UV_SYSTEM_CERTS=1
WORKDIR /src
RUN python3 -m venv /tools && /tools/bin/pip install --quiet "uv==${UV_VERSION}"

# What the sidecar needs, with all that has no part in it left out: pip, and the group of who develops it.
COPY pyproject.toml uv.lock ./
RUN /tools/bin/uv export --quiet --frozen --no-emit-project --no-dev \
        --extra estimate --extra rewrite --extra cel --output-file locked.txt \
    && /tools/bin/uv export --quiet --frozen --only-group dev --output-file locked-dev.txt \
    && python3 -m venv --without-pip /opt/extproc \
    && /tools/bin/uv pip sync --quiet --python /opt/extproc --no-build --require-hashes locked.txt

# The sidecar itself, by a build system that is locked as well.
COPY LICENSE README.md ./
COPY envoy envoy
COPY extproc extproc
RUN /tools/bin/uv build --quiet --wheel --require-hashes --build-constraints locked-dev.txt --out-dir dist \
    && /tools/bin/uv pip install --quiet --python /opt/extproc --no-deps --no-index --find-links dist ai-gateway-extproc

# Byte code that needs no look at its source, so that the times of files do not matter; and the bill of materials, from
# what is installed and from what this system has beside it.
COPY tools/write_image_bill.py tools/
RUN /opt/extproc/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/extproc/lib \
    && /opt/extproc/bin/python tools/write_image_bill.py --lock uv.lock --project pyproject.toml \
        --output /usr/share/sbom/ai-gateway-extproc.cdx.json \
    && find /opt/extproc /usr/share/sbom -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} +

FROM ${PYTHON_IMAGE}
ARG SOURCE_DATE_EPOCH=1577836800
# Nothing installs packages in a running image. And Python's own modules get their byte code, which the official images
# leave out: a process that may write nowhere would compile them anew at each start. A volume for the socket that is
# new takes owner and mode of the folder here.
RUN library="$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && { python3 -B -m pip uninstall --quiet --yes --root-user-action ignore pip || true; } \
    && rm -rf "${library}/ensurepip" \
    && PYTHONHASHSEED=0 python3 -m compileall -q --invalidation-mode unchecked-hash \
        -x '/(idlelib|lib2to3|tests?)/' "${library}" \
    && install -d -o 65532 -g 65532 -m 2770 /run/extproc \
    && find "${library}" /run/extproc -mmin -60 -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} +
COPY --from=build /opt/extproc /opt/extproc
COPY --from=build /usr/share/sbom /usr/share/sbom

ENV PATH=/opt/extproc/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# By number, so that Kubernetes can tell that it is not root.
USER 65532:65532
# Of ext_proc, where it is not a Unix socket; and of metrics, probes and status.
EXPOSE 18080 9092
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/opt/extproc/bin/python", "-P", "-m", "extproc.probe"]
ENTRYPOINT ["extproc"]
CMD ["serve"]

ARG PYTHON_IMAGE=python:3.13-slim
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ai-gateway-extproc" \
      org.opencontainers.image.description="An external processor that makes Envoy an AI gateway" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
