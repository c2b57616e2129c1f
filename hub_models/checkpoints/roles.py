"""The roles that a checkpoint can fill in the project, one row each."""

from dataclasses import dataclass

CLIP_KINDS = ("clip", "vision-text-dual-encoder", "siglip", "altclip", "chinese_clip")


@dataclass(frozen=True)
class Role:
    """A purpose that a checkpoint serves in the project.

    Attributes:
        title: its name on the page.
        family: "unet", "resnet", "clip" or "fusion", after the class that loads its checkpoint.
        kinds: names that its config may give its model: the class of segmentation_models_pytorch, or transformers'
            `model_type`.
        card_title: the title of its model card.
        library: the library that loads it, as the Hub names it; None if only this project does.
        task: its task, as the Hub names it.
        tag: a tag of its model card.
        parts: the roles whose checkpoints it joins; without them it does not answer.
        zero_shot: whether it answers about any classes: a visitor's sentences take the place of its own.
    """

    title: str
    family: str
    kinds: tuple[str, ...]
    card_title: str
    library: str | None
    task: str
    tag: str
    parts: tuple[str, ...] = ()
    zero_shot: bool = False

    @property
    def pipeline_tag(self) -> str | None:
        """The task under which the Hub lists it, with lines of code that load it; None where these would fail."""
        return self.task if self.library else None


CLIP = {"library": "transformers", "task": "zero-shot-image-classification", "tag": "clip"}

ROLES = {
    "unet": Role(
        title="UNet",
        family="unet",
        kinds=("Unet",),
        card_title="Chest X-ray UNet: lungs and infection",
        library="segmentation-models-pytorch",
        task="image-segmentation",
        tag="unet",
    ),
    "resnet": Role(
        title="ResNet",
        family="resnet",
        kinds=("resnet",),
        card_title="Chest X-ray ResNet",
        library="transformers",
        task="image-classification",
        tag="resnet",
    ),
    "clip-zero-shot": Role(
        title="CLIP, zero-shot",
        family="clip",
        kinds=CLIP_KINDS,
        card_title="Chest X-ray CLIP, zero-shot",
        zero_shot=True,
        **CLIP,
    ),
    "clip-finetuned": Role(
        title="CLIP, fine-tuned",
        family="clip",
        kinds=CLIP_KINDS,
        card_title="Chest X-ray CLIP, fine-tuned",
        **CLIP,
    ),
    "fusion": Role(
        title="ResNet and CLIP, joined",
        family="fusion",
        kinds=("xray-fusion",),
        card_title="Chest X-ray ResNet and CLIP, joined",
        parts=("resnet", "clip-finetuned"),
        library=None,
        task=CLIP["task"],
        tag=CLIP["tag"],
    ),
}
"""Name -> role, in the order in which they are shown."""

ZERO_SHOT = tuple(name for name, role in ROLES.items() if role.zero_shot)
"""Names of the roles that take a visitor's sentences."""

ANSWERING = ("clip-finetuned", "fusion", "resnet", *ZERO_SHOT)
"""Names of the classifiers' roles: the first of them that answers about an X-ray is the one to start from. The fusion
is better at home; in hospitals that nobody trained on, from where a visitor's X-ray comes, it calls more of the healthy
ill than its CLIP does."""


def of_family(*families: str) -> tuple[str, ...]:
    """Names of the roles of these families, in the order of `ROLES`."""
    return tuple(name for name, role in ROLES.items() if role.family in families)


def repository(namespace: str, role: str) -> str:
    """Hub id of a role's checkpoint in a namespace, unless it was published under another one."""
    return f"{namespace}/chest-xray-{role}"
