"""Switches that keep the libraries from reporting usage and from writing into the home folder."""

import os
import sys

VARIABLES = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",
    "DO_NOT_TRACK": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "MPLBACKEND": "agg",
}
"""Environment variables that the libraries read, some of them on import; child processes inherit them.

Without MPLBACKEND, gradio makes matplotlib look for a screen at each event, and matplotlib then writes a list of fonts.
"""

SWITCHES = (
    ("huggingface_hub.constants", "HF_HUB_DISABLE_TELEMETRY", True),
    ("datasets.config", "HF_UPDATE_DOWNLOAD_COUNTS", False),
    ("evaluate.config", "HF_UPDATE_DOWNLOAD_COUNTS", False),
)
"""Module, name, value: the place where a library that is already imported keeps what it read from its variable."""


def no_telemetry() -> None:
    """Switch off usage reports, version checks and download counts of all libraries that the project imports.

    Every command calls this first, and so does every function that imports OpenVINO or ONNX Runtime. Both libraries
    would report to an analytics server and write an id into the home folder. ONNX Runtime reads a variable. OpenVINO
    has none: this call blocks the import of its package `openvino_telemetry`, and OpenVINO then uses its own stand-in,
    which does nothing. A second call changes nothing.
    """
    os.environ.update(VARIABLES)
    for module, name, value in SWITCHES:
        if module in sys.modules:
            setattr(sys.modules[module], name, value)
    sys.modules["openvino_telemetry"] = None
