# docker build -t restore .
# docker build -t restore:cuda --build-arg VARIANT=cu126 .
# docker run --rm -v "$PWD:/photos" --user "$(id -u):$(id -g)" restore denoise photo.jpg
# docker run --rm -p 127.0.0.1:8000:8000 -e RESTORE_TOKEN=SECRET restore serve --host 0.0.0.0
FROM python:3.13-slim AS build

# cpu, or a version of CUDA for which PyTorch has packages, such as cu126
ARG VARIANT=cpu

RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
RUN pip install --no-cache-dir "torch>=2.6,<2.14" --index-url "https://download.pytorch.org/whl/$VARIANT"
WORKDIR /source
COPY pyproject.toml README.md LICENSE weights.toml ./
COPY restore_cli restore_cli
# hadolint ignore=DL3013
RUN pip install --no-cache-dir ".[serve]"

FROM python:3.13-slim
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH RESTORE_CACHE=/cache
RUN useradd --create-home --uid 1000 restore && mkdir /cache && chmod 1777 /cache
USER 1000
WORKDIR /photos
EXPOSE 8000
VOLUME /cache
ENTRYPOINT ["restore"]
CMD ["--help"]
