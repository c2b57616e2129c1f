#!/usr/bin/env bash
# Two processes that each ask OpenVINO for one thread share one core, and the other cores stay idle.
#
# With INFERENCE_NUM_THREADS=1, as a program that runs a worker a core sets it, OpenVINO on Linux binds the thread of each
# process to a core, and it is the same core in all of them, because no process knows of the others. Intel's support
# article 000058227 tells of it for OpenVINO 2021.2, under a setting that is gone (CPU_BIND_THREAD); it is still so. What
# helps: "ENABLE_CPU_PINNING": False. It needs two cores or more, idle ones.
#
# Output seen:
#   openvino 2026.4.1, 2 cores
#   as it is: two processes infer 1.00 times as often as one
#   ENABLE_CPU_PINNING=False: two processes infer 1.98 times as often as one
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip --quiet --disable-pip-version-check install "numpy==2.4.6" "openvino==2026.4.1"

cat > "$work/worker.py" <<'PYTHON'
"""Count inferences in some seconds by one thread."""
import sys
import time

import numpy as np
import openvino
from openvino import opset13 as ops

pinned, start, seconds = sys.argv[1] == "bound", float(sys.argv[2]), float(sys.argv[3])
random = np.random.default_rng(0)
pixels = ops.parameter([1, 32, 96, 96], np.float32)
maps = pixels
for _ in range(6):
    weights = ops.constant(random.normal(0, 0.1, (32, 32, 3, 3)).astype(np.float32))
    maps = ops.relu(ops.convolution(maps, weights, [1, 1], [1, 1], [1, 1], [1, 1]))
settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1}
if not pinned:
    settings["ENABLE_CPU_PINNING"] = False
compiled = openvino.Core().compile_model(openvino.Model([maps], [pixels]), "CPU", settings)
request, image = compiled.create_infer_request(), random.random((1, 32, 96, 96), np.float32)

time.sleep(max(0.0, start - time.time()))
count = 0
while time.time() < start + seconds:
    request.infer([image])
    count += 1
print(count)
PYTHON

"$work/venv/bin/python" - "$work/worker.py" <<'PYTHON'
import os
import statistics
import subprocess
import sys
import time

import openvino

cores, seconds = len(os.sched_getaffinity(0)), 2.0
if cores < 2:
    sys.exit("This needs two cores.")


def run(how: str, processes: int) -> float:
    """Inferences a second of all processes together."""
    command = [sys.executable, sys.argv[1], how, str(time.time() + 4), str(seconds)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return sum(int(process.communicate()[0]) for process in started) / seconds


gains: dict[str, list[float]] = {"bound": [], "free": []}
for _ in range(3):
    for how, found in gains.items():
        alone, together = run(how, 1), run(how, 2)
        found.append(together / alone)
print(f"openvino {openvino.__version__.split('-')[0]}, {cores} cores")
medians = {how: statistics.median(found) for how, found in gains.items()}
for how, named in (("bound", "as it is"), ("free", "ENABLE_CPU_PINNING=False")):
    print(f"{named}: two processes infer {medians[how]:.2f} times as often as one")
assert medians["bound"] < 1.3 < 1.6 < medians["free"], medians
PYTHON
