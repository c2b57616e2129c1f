"""The recipes of the embedded classifiers, which controls and left-out sources train again."""

RECIPES = {
    "resnet": ["train.resnet", "--depth=10", "--image_size=192", "--num_train_epochs=15"],
    "clip-finetuned": [
        *("train.clip", "--method=full", "--num_train_epochs=8"),
        "--model_name_or_path=hub_models/embedded/clip-zero-shot",
    ],
}
"""Role -> the training script and arguments that made its embedded checkpoint."""
