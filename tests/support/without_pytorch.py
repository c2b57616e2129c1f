"""Use everything that the page and the command offer in a process that fails on any import of PyTorch.

    python -m tests.support.without_pytorch WORK XRAY ROLE=FOLDER...

runs with these checkpoints, writes into the folder WORK, and prints as JSON what was answered about the file XRAY.
"""

import json
import os
import sys
from pathlib import Path

HEAVY = ("torch", "torchvision", "torchcam", "transformers", "timm", "segmentation_models_pytorch")
"""What must not be imported."""


def main(work: Path, xray: Path, folders: dict[str, str]) -> dict:
    """Answer in every way; returns what was answered."""
    from gradio_client import Client, handle_file

    from hub_models import predict
    from hub_models.checkpoints.choices import variable
    from hub_models.pipeline import XrayPipeline
    from tests.support.fake_pipeline import serve

    os.environ.update({variable(role): folder for role, folder in folders.items()})
    assert predict.main([str(xray), "--output_dir", str(work / "predicted"), "--pdf"]) == 0
    pipeline = XrayPipeline.from_pretrained()
    with serve(pipeline) as url:
        client = Client(url, verbose=False, download_files=str(work))
        picture = handle_file(xray)
        _, described = client.predict(picture, None, True, api_name="/analyse")
        _, shares, _ = client.predict(picture, True, api_name="/segment")
        answers, notes, conclusion = client.predict(picture, None, True, api_name="/classify")
        rows, _ = client.predict([picture], True, api_name="/batch")
        client.close()
    return {
        "engines": pipeline.engine_names,
        "described": described,
        "shares": shares,
        "answers": answers,
        "notes": notes,
        "conclusion": conclusion,
        "rows": len(rows["data"]),
        **on_the_tabs(pipeline, xray),
    }


def on_the_tabs(pipeline, xray: Path) -> dict:
    """Press every button of the page."""
    import app
    from tests.support.fake_pipeline import ready, uploaded

    tabs, given = app.build_demo(ready(pipeline)).layout.tabs, uploaded(xray)
    analyse, prompts = tabs["analyse"], tabs["prompts"]
    heats = analyse.explain(given, anyway=True)[analyse.viewer]["heat"]
    sentences = "ill: an opacity\nwell: healthy lungs, no finding"
    asked = prompts.compare_prompts(given, sentences, anyway=True)
    kept = next(analyse.keep(given, anyway=True))
    return {
        "heat": {heat["name"]: heat["caption"] for heat in heats},
        "pictures": sorted(heat["name"] for heat in heats if heat["address"].startswith("data:image/png;base64,")),
        "asked": {role: asked[label] for role, label in prompts.classes.items()},
        "kept": [Path(file).name for file in kept],
    }


if __name__ == "__main__":
    sys.modules.update(dict.fromkeys(HEAVY))  # so Python refuses to import them
    given_work, given_xray, *choices = sys.argv[1:]
    print(json.dumps(main(Path(given_work), Path(given_xray), dict(choice.split("=", 1) for choice in choices))))
    assert all(sys.modules[name] is None for name in HEAVY)
