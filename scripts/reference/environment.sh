#!/usr/bin/env bash
# An environment of its own for the official package OmniGen 1.0.3: scripts/reference/environment.sh FOLDER
set -euo pipefail

if [ $# -ne 1 ]; then
    echo "usage: $0 FOLDER" >&2
    exit 2
fi
"${PYTHON:-python3.11}" -m venv "$1"
pip=("$1/bin/python" -m pip --disable-pip-version-check install)
# torch first and alone, so that a CPU build offered to pip is taken; named again, so that nothing replaces it.
"${pip[@]}" torch==2.13.0
"${pip[@]}" torch==2.13.0 transformers==4.45.2 diffusers==0.30.3 accelerate==0.26.1 peft==0.9.0 \
    'huggingface_hub<0.27' 'numpy<2.4' 'datasets<3.3' pillow safetensors
"${pip[@]}" --no-deps timm==1.0.31 torchvision==0.28.0 OmniGen==1.0.3
# torchvision's compiled half does not fit every torch. OmniGen needs the other half, transforms in plain Python.
echo '__version__ = "0.28.0"' >"$1"/lib/python3*/site-packages/torchvision/__init__.py
