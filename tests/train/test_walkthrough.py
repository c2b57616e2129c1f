"""The notebook runs from top to bottom on drawn X-rays, and what is kept of its outputs is small and says no more."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "train" / "walkthrough.ipynb"
MAX_BYTES = 150_000


def printed(notebook: nbformat.NotebookNode) -> str:
    """All texts of the outputs, and the names of errors."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    plain = (output.get("data", {}) for output in outputs)
    texts = [str(data.get("text/markdown", data.get("text/plain", ""))) for data in plain]
    return "\n".join([output.get("text", "") + output.get("ename", "") for output in outputs] + texts)


@pytest.mark.timeout(500)
def test_it_trains_measures_and_answers_from_top_to_bottom(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XRAY_NOTEBOOK_RUNS", str(tmp_path))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
        NotebookClient(notebook, timeout=400, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    text = printed(notebook)
    for role in ("unet", "resnet", "clip-zero-shot", "clip-finetuned"):
        assert (tmp_path / role / "release" / "README.md").is_file()
        assert f"Saved {tmp_path / role / 'release'}" in text
    assert "resnet would go from" in text
    assert "of the lungs outlined as infected" in text
    assert "# All checkpoints on the split test (12 images)" in text


def test_what_is_kept_of_a_run_is_whole_small_and_names_no_place_of_a_machine():
    kept = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(kept)
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert NOTEBOOK.stat().st_size < MAX_BYTES
    text = printed(kept)
    assert "of the lungs outlined as infected" in text
    assert not [word for word in ("/tmp", "/home", "/root", "/work", "Error", "Traceback") if word in text]
    assert "pip install -q -r requirements.txt" in code[0].source
