"""Recipes of the embedded classifiers, which controls and left-out sources train again."""


def shortened(steps: int) -> list[str]:
    """Return the arguments that shorten a training to some steps, after which it takes the last weights."""
    return [
        *(f"--max_steps={steps}", "--eval_strategy=no", "--save_strategy=no", "--load_best_model_at_end=False"),
        "--early_stopping_patience=0",
    ]


ELSEWHERE = ["--storage=0.7", "--balance=0.7", "--skip_doubtful=True"]
"""What keeps a classifier from learning the sources: changes that hide how an image was stored, batches balanced by
class and source, and no images whose class is doubted."""

RECIPES = {
    "resnet": ["train.resnet", "--depth=10", "--image_size=192", "--num_train_epochs=15", *ELSEWHERE],
    "clip-finetuned": [
        *("train.clip", "--method=full", "--model_name_or_path=hub_models/embedded/clip-zero-shot"),
        *("--average_decay=0.98", *ELSEWHERE, *shortened(300)),
    ],
}
"""Role -> the training script and arguments by which its embedded checkpoint can be compared with others: the ResNet's
from random weights and without its teacher, the CLIP's from the zero-shot checkpoint."""

JOINED = {
    "fusion": [
        *("train.fusion", "--resnet={folder}/resnet/{source}/release"),
        "--clip={folder}/clip-finetuned/{source}/release",
    ],
}
"""Role -> the training script and arguments of a checkpoint that joins two others, which left out the same source and
are in the same folder."""
