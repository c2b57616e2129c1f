"""The one place where the libraries underneath are told to report nothing, and to keep nothing in the home folder."""

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
"""Environment variables that the libraries read, some of them when they are imported; child processes get them, too.

Without the last one gradio makes matplotlib look for a screen with each event, and so write a list of fonts.
"""

SWITCHES = (
    ("huggingface_hub.constants", "HF_HUB_DISABLE_TELEMETRY", True),
    ("datasets.config", "HF_UPDATE_DOWNLOAD_COUNTS", False),
    ("evaluate.config", "HF_UPDATE_DOWNLOAD_COUNTS", False),
)
"""Module, name, value: where a library that is imported already keeps what it read in its variable."""


def no_telemetry() -> None:
    """Switch off usage reports, version checks and download counts of all libraries that the project imports.

    Every command calls this first, and so does whatever imports OpenVINO or ONNX Runtime. Both would report to an
    analytics server what they run and write an id into the home folder. ONNX Runtime reads a variable; OpenVINO has
    none, so its package `openvino_telemetry` cannot be imported after this call, and OpenVINO takes its own stand-in,
    which does nothing. Calling this again changes nothing.
    """
    os.environ.update(VARIABLES)
    for module, name, value in SWITCHES:
        if module in sys.modules:
            setattr(sys.modules[module], name, value)
    sys.modules["openvino_telemetry"] = None
