# A CUDA image of this checkout: docker build -t simpletuner .
#   docker run --rm --gpus all --shm-size 8g -v "$PWD:/work" simpletuner train
# All that is from PyPI has its hash in locks/image.txt. Its torch brings CUDA 13 with it. For a driver that knows only
# CUDA 12, with the versions of constraints.txt and no hashes, because torch is another file there:
#   docker build -t simpletuner --build-arg BASE=nvidia/cuda:12.6.3-base-ubuntu24.04 \
#     --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126 .
ARG BASE=nvidia/cuda:13.0.2-base-ubuntu24.04

FROM ${BASE} AS build
ARG TORCH_INDEX=
ENV DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3.12 python3.12-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3.12 -m venv /opt/simpletuner
WORKDIR /source
# What others made, and first: gigabytes that change rarely. Of it nothing is built here, so none of its code runs.
COPY constraints.txt locks/image.txt ./
RUN if [ -z "$TORCH_INDEX" ]; then \
        /opt/simpletuner/bin/pip install --require-hashes --only-binary :all: -r image.txt; \
    else \
        /opt/simpletuner/bin/pip install -c constraints.txt --index-url "$TORCH_INDEX" torch; \
    fi
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
ENV PIP_CONSTRAINT=/source/constraints.txt
RUN if [ -z "$TORCH_INDEX" ]; then \
        /opt/simpletuner/bin/pip install --no-deps .; \
    else \
        /opt/simpletuner/bin/pip install -c constraints.txt '.[cuda]'; \
    fi

FROM ${BASE}
ENV DEBIAN_FRONTEND=noninteractive
# A C compiler and Python's headers: triton builds its launchers with them (torch.compile).
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev python3.12 python3.12-dev \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/simpletuner /opt/simpletuner
# Downloads land beside the configuration, and survive the container.
ENV PATH=/opt/simpletuner/bin:$PATH HF_HOME=/work/cache/huggingface
WORKDIR /work
# Ubuntu's first user, as on most machines; `docker run --user` takes another.
USER 1000
ENTRYPOINT ["simpletuner"]
CMD ["--help"]
