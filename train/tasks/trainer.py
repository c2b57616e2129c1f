"""The Trainer of every script: several processes take the steps of one."""

from contextlib import nullcontext
from typing import Any

import datasets
import numpy as np
import torch
from torch.utils.data import Sampler
from transformers import Trainer

from train.data.processes import started_together
from train.tasks.balance import sampling_weights
from train.tasks.draws import Drawn, Draws, seed_of
from train.tasks.together import JointBatchNorm


class XrayTrainer(Trainer):
    """A Trainer whose steps depend on the seed and the images in a step, and not on how many processes take them.

    Args:
        rows: the training rows, with `label` and `source`.
        train_dataset: what the task is given of these rows.
        balance: draw rows by `sampling_weights`, with replacement; an epoch has as many as the data. None draws all
            rows alike.

    Raises:
        ValueError: the balance is not in 0..1, or an image may have several classes.
    """

    def __init__(
        self, *, rows: datasets.Dataset, train_dataset: Any, args: Any, balance: float | None = None, **options
    ) -> None:
        self.weights, self.micro_step = None, (0, 0)
        if balance is not None:
            if "targets" in rows.column_names:
                raise ValueError("--balance draws classes of which an image has one; leave it out with --multi_label.")
            self.weights = torch.from_numpy(
                sampling_weights(np.array(rows["label"][:]), np.array(rows["source"][:], object), balance)
            )
        super().__init__(args=args, train_dataset=Drawn(train_dataset, args.seed), **options)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler:
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        batch = self.args.train_batch_size * self.args.world_size
        return Draws(len(self.train_dataset), batch, seed, self.weights)

    def training_step(self, *arguments, **options) -> torch.Tensor:
        """Take a step, in which every process draws the same random numbers, and normalises over all images."""
        step, part = self.micro_step
        self.micro_step = (self.state.global_step, part + 1 if step == self.state.global_step else 0)
        torch.manual_seed(seed_of(self.args.seed, *self.micro_step))
        with JointBatchNorm() if started_together() else nullcontext():
            return super().training_step(*arguments, **options)
