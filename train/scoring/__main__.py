"""Figures of each checkpoint in use on the validation split, with each engine and precision that runs it.

    python -m train.scoring --dataset COVID-QU-Ex --output_file runs/quality.json
    python -m hub_models.benchmark --quality runs/quality.json --output_dir runs/benchmark

The second command shows these figures beside the time that each network takes. The checkpoints are those that the
environment chooses (XRAY_UNET, ...) or that ship with the project, with the ONNX files beside their weights.
"""

import argparse
from pathlib import Path

from hub_models.benchmark.inputs import with_exports
from hub_models.benchmark.networks import open_engines
from hub_models.benchmark.quality import Measured, Quality, files_digest
from hub_models.engines.engine import Engine
from hub_models.engines.quiet import no_telemetry
from hub_models.export.float32 import Model
from hub_models.pipeline import XrayPipeline
from train.scoring import quality
from train.script.arguments import run


def main(argv: list[str] | None = None) -> Quality:
    """Measure every model that has networks of its own, and write the figures; returns them."""
    no_telemetry()
    parser = argparse.ArgumentParser(
        prog="python -m train.scoring", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", required=True, help="as the training scripts take it")
    parser.add_argument("--output_file", required=True, type=Path, help="JSON file that is written")
    parser.add_argument("--exports", type=Path, metavar="DIR", help="DIR/ROLE holds more ONNX files of a checkpoint")
    arguments = parser.parse_args(argv)
    with with_exports(arguments.exports) as overrides:
        # 1. The models, each with all engines
        pipeline = XrayPipeline.from_pretrained(overrides)
        # 2. Measure each with each engine
        measured, files = {}, {}
        for role, model in pipeline.network_models.items():
            folder = pipeline.checkpoints[role].folder
            engines, problems = open_engines(role, model, folder)
            try:
                measured[role] = measure(model, engines, arguments.dataset)
            except ValueError as error:
                problems.append(f"What {role} is worth: {error}")
            files[role] = files_digest(folder)
            for problem in problems:
                print(problem)
    # 3. Write the figures for the benchmark
    figures = Quality(arguments.dataset, measured, files)
    figures.save(arguments.output_file)
    print(f"Wrote {arguments.output_file}; python -m hub_models.benchmark --quality {arguments.output_file} tells it")
    return figures


def measure(model: Model, engines: list[Engine], dataset: str) -> Measured:
    """Measure a model on the validation split with each engine: engine in words -> figures. Its own engine stays.

    Raises:
        FileNotFoundError: there is no such data set.
        ValueError: the data is not fit for the model.
    """
    own_engine, images, figures = model.engine, quality.Quality(dataset, model), {}
    try:
        for engine in engines:
            model.engine = engine
            figures[str(engine)] = images.measure(model) | {"images": images.images}
    finally:
        model.engine = own_engine
    return figures


if __name__ == "__main__":
    run(main)
