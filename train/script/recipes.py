"""The recipes of the embedded classifiers, which controls and left-out sources train again."""

RECIPES = {
    "resnet": ["train.resnet", "--depth=10", "--image_size=192", "--num_train_epochs=15"],
    "clip-finetuned": [
        *("train.clip", "--method=full", "--num_train_epochs=8"),
        "--model_name_or_path=hub_models/embedded/clip-zero-shot",
    ],
}
"""Role -> the training script and arguments that made its embedded checkpoint."""


def shortened(steps: int) -> list[str]:
    """Return the arguments that shorten a training to some steps, after which it takes the last weights."""
    return [
        *(f"--max_steps={steps}", "--eval_strategy=no", "--save_strategy=no", "--load_best_model_at_end=False"),
        "--early_stopping_patience=0",
    ]
