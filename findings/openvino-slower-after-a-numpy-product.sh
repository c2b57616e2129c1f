#!/usr/bin/env bash
# A NumPy matrix product makes OpenVINO's next inference on the CPU up to twice as slow, though it has ended before.
#
# NumPy's wheels bring OpenBLAS, whose worker threads do not sleep at once when a product is done: they go on asking for
# work for a while, on the cores that OpenVINO's threads now need. Neither documentation tells of the other. A program
# that multiplies a small matrix between two networks pays it each time. What helps: one BLAS thread while networks run
# (threadpoolctl), or OPENBLAS_NUM_THREADS=1 before NumPy is imported. It needs two cores or more, all of them in use.
#
# Output seen:
#   numpy 2.4.6, openvino 2026.4.1, 2 cores
#   alone 23.7 ms, after a product 45.5 ms (1.92 times), after a product by one BLAS thread 23.0 ms (0.97 times)
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip --quiet --disable-pip-version-check install \
    "numpy==2.4.6" "openvino==2026.4.1" "threadpoolctl==3.8.0"

"$work/venv/bin/python" - <<'PYTHON'
import os
import statistics
import sys
import time

import numpy as np
import openvino
from openvino import opset13 as ops
from threadpoolctl import threadpool_limits

cores = len(os.sched_getaffinity(0))
if cores < 2:
    sys.exit("This needs two cores: OpenBLAS has no threads beside the first on one.")

random = np.random.default_rng(0)
pixels = ops.parameter([1, 32, 192, 192], np.float32)
maps = pixels
for _ in range(6):
    weights = ops.constant(random.normal(0, 0.1, (32, 32, 3, 3)).astype(np.float32))
    maps = ops.relu(ops.convolution(maps, weights, [1, 1], [1, 1], [1, 1], [1, 1]))
model = openvino.Model([maps], [pixels])
settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": cores}
request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
image = random.random((1, 32, 192, 192), np.float32)
matrix = random.random((600, 600), np.float32)


def infer() -> float:
    start = time.perf_counter()
    request.infer([image])
    return 1e3 * (time.perf_counter() - start)


def alone() -> float:
    time.sleep(0.3)
    return infer()


def after_a_product() -> float:
    matrix @ matrix
    return infer()


def after_a_product_by_one_thread() -> float:
    time.sleep(0.3)
    with threadpool_limits(1, user_api="blas"):
        matrix @ matrix
        return infer()


taken = {way: [] for way in (alone, after_a_product, after_a_product_by_one_thread)}
for _ in range(40):
    for way, each in taken.items():
        each.append(way())
quiet, busy, single = (statistics.median(each[5:]) for each in taken.values())
print(f"numpy {np.__version__}, openvino {openvino.__version__.split('-')[0]}, {cores} cores")
print(
    f"alone {quiet:.1f} ms, after a product {busy:.1f} ms ({busy / quiet:.2f} times), "
    f"after a product by one BLAS thread {single:.1f} ms ({single / quiet:.2f} times)"
)
if busy < 1.15 * quiet or single > 1.15 * quiet:
    sys.exit("Behaviour has changed: a product no longer slows the inference after it, or one thread does, too.")
PYTHON
