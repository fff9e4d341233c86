# The command line and the app, on a processor. docs/guides/docker.md says how to use it.
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.13-slim
# The index has builds of torch without CUDA, which is several gigabytes.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY constraints.txt /
RUN --mount=type=bind,from=build,source=/wheel,target=/wheel \
    python -m pip install --no-cache-dir -c /constraints.txt --extra-index-url "$TORCH_INDEX" \
    "semisonic[formats] @ file://$(echo /wheel/*.whl)"
# Anybody may write here, as a container is often run as the user whose folders it is given.
RUN useradd --uid 1000 --home-dir /var/lib/semisonic semisonic \
    && install -d -m 1777 /var/lib/semisonic /recordings /runs
ENV HOME=/var/lib/semisonic PYTHONUNBUFFERED=1
USER 1000
WORKDIR /runs
EXPOSE 8765
# Without the token the page answers 401, which is a sign of life.
HEALTHCHECK --start-period=60s CMD ["python", "-c", "\
import http.client, sys; \
c = http.client.HTTPConnection('127.0.0.1', 8765, timeout=5); \
c.request('GET', '/'); \
sys.exit(c.getresponse().status >= 500)"]
ENTRYPOINT ["semisonic"]
CMD ["app", "--host", "0.0.0.0", "--no-browser", "--folder", "/recordings", "--runs", "/runs"]
