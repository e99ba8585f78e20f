#!/bin/bash
# A part of gpu_session.py without network: benchmarks/gpu_session.sh PART [options]
set -euo pipefail
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"
folder="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
export PYTHONPATH="$folder/..${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python}" "$folder/gpu_session.py" "$@"
