"""Sample pictures of a training for its tracker: what the UNet outlines on a few validation images, each time."""

import datasets
import numpy as np
import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback

from hub_models.models.unet import Segmenter
from hub_models.reports.overlay import draw_overlay, sketch
from train.data.rows import read_picture

IMAGES = 4
TAG = "validation outlines"


class SampleOutlines(TrainerCallback):
    """A callback that draws the outlines of the first validation images after each validation, for TensorBoard."""

    def __init__(self, trainer: Trainer, segmenter: Segmenter, validation: datasets.Dataset) -> None:
        self.trainer, self.processor = trainer, segmenter.processor
        self.rows = validation.select(range(min(IMAGES, len(validation))))

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        """Write the pictures, where the Trainer writes for TensorBoard."""
        writers = [each for each in self.trainer.callback_handler.callbacks if isinstance(each, TensorBoardCallback)]
        if not writers or writers[0].tb_writer is None or not state.is_world_process_zero:
            return
        for number, picture in enumerate(self._pictures()):
            writers[0].tb_writer.add_image(f"{TAG}/{number}", picture, state.global_step, dataformats="HWC")

    @torch.no_grad()
    def _pictures(self) -> list[np.ndarray]:
        """Draw the images with what the network outlines on them, uint8 (h, w, 3)."""
        segmenter = Segmenter(self.trainer.model.result.eval(), self.processor)
        images = [read_picture(image) for image in self.rows["image"]]
        return [draw_overlay(sketch(image, segmenter(image))) for image in images]
