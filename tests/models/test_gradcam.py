from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from torch import nn
from torch.nn import functional as F
from transformers import (
    BertConfig,
    BertModel,
    CLIPImageProcessor,
    SiglipConfig,
    SiglipModel,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
    ViTImageProcessor,
)
from transformers.models.timm_wrapper import TimmWrapperConfig, TimmWrapperModel

from hub_models.engines.pytorch.networks import embed_images
from hub_models.models.clip import ClipClassifier
from hub_models.models.gradcam import explain
from hub_models.models.labels import LABELS
from hub_models.models.resnet import ResnetClassifier
from hub_models.models.views import NoLungs, apply_view, crop_box, view_box
from hub_models.reports.heatmap import draw_heat
from hub_models.xray.phantom import draw_phantom
from tests.support import tiny_models

PHANTOM = draw_phantom(1, size=128)
IMAGE, LUNGS = PHANTOM.image.astype(np.float32) / 255, PHANTOM.lungs


def processor(size: int) -> ViTImageProcessor:
    square = {"height": size, "width": size}
    return ViTImageProcessor(size=square, image_mean=[0.5] * 3, image_std=[0.5] * 3)


def resnet() -> ResnetClassifier:
    """Of 64 pixels: at 32, its last map would be one place."""
    return ResnetClassifier(tiny_models.resnet().model, processor(64))


def dual_encoder(architecture: str, width: int) -> ClipClassifier:
    """A tower of timm beside a tiny BERT, as the embedded CLIPs are built, with random weights."""
    clip = tiny_models.clip()
    vision = TimmWrapperConfig(architecture=architecture, do_pooling=True)
    vision.hidden_size = width
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = BertConfig(vocab_size=len(clip.processor.tokenizer), max_position_embeddings=128, **layers)
    config = VisionTextDualEncoderConfig.from_vision_text_configs(vision, text, projection_dim=8)
    model = VisionTextDualEncoderModel(config, TimmWrapperModel(vision), BertModel(text))
    clip.processor.image_processor = processor(64)
    return ClipClassifier.new(model, clip.processor, LABELS, "lungs")


def lite() -> ClipClassifier:
    return dual_encoder("tf_efficientnet_lite0", 1280)


def siglip() -> ClipClassifier:
    """A tower without a class token: an attention pools its patches."""
    clip = tiny_models.clip()
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**layers, "vocab_size": len(clip.processor.tokenizer), "max_position_embeddings": 77, "projection_size": 16}
    config = SiglipConfig(text_config=text, vision_config={**layers, "image_size": 64, "patch_size": 16})
    clip.processor.image_processor = processor(64)
    return ClipClassifier.new(SiglipModel(config), clip.processor, LABELS, "lungs")


TOWERS = {
    "resnet": (resnet, "resnet.encoder.stages.3"),
    "efficientnet": (lite, "vision_model.timm_model.bn2"),
    "vit": (tiny_models.clip, "vision_model.encoder.layers.0.layer_norm1"),
    "siglip": (siglip, "vision_model.encoder.layers.1.layer_norm1"),
}


class Masked(nn.Module):
    def __init__(self, mask: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("mask", torch.from_numpy(mask.astype(np.float32)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.mask


class Bright(nn.Module):
    """Its last map is its input's brightness times a mask; the map's mean speaks for "bright" and against "dark"."""

    def __init__(self, view: str, mask: np.ndarray) -> None:
        super().__init__()
        self.config = SimpleNamespace(view=view, num_labels=2, id2label={0: "bright", 1: "dark"})
        grey = nn.Conv2d(3, 1, 1)
        grey.load_state_dict({"weight": torch.full((1, 3, 1, 1), 1 / 6), "bias": torch.tensor([0.5])})
        self.last = nn.Sequential(grey, Masked(mask))

    def forward(self, pixel_values: torch.Tensor) -> SimpleNamespace:
        score = self.last(pixel_values).mean(dim=(1, 2, 3))
        return SimpleNamespace(logits=torch.stack([score, -score], dim=1))


def bright(view: str, size: int, mask: np.ndarray | None = None) -> ResnetClassifier:
    return ResnetClassifier(Bright(view, np.ones((size, size)) if mask is None else mask), processor(size))


def rectangle(shape: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return mask


def by_hand(classifier: ResnetClassifier | ClipClassifier, layer: str, number: int) -> np.ndarray:
    """The paper's formula on a layer that is named here, for one of the model's own classes; of the X-ray's size."""
    kept = []
    hook = classifier.model.get_submodule(layer).register_forward_hook(lambda *call: kept.append(call[-1]))
    pixels = torch.from_numpy(classifier.pixel_values([apply_view(IMAGE, LUNGS, "lungs")]))
    if isinstance(classifier, ResnetClassifier):
        logits = classifier.model(pixels).logits[0]
    else:
        texts = torch.from_numpy(classifier.embed_prompts(classifier.prompts))
        logits = classifier.model.logit_scale.exp() * texts @ embed_images(classifier.model, pixels)[0]
    hook.remove()
    maps = [kept[0], *torch.autograd.grad(logits[number], kept)]
    if maps[0].ndim == 3:
        side = int(maps[0].shape[1] ** 0.5)
        maps = [tokens[:, -side * side :].transpose(1, 2).reshape(1, -1, side, side) for tokens in maps]
    features, gradients = maps
    cam = (gradients.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1, keepdim=True).relu()
    top, left, side = crop_box(LUNGS)
    padded = np.zeros((256, 256))
    padded[64 + top :, 64 + left :][:side, :side] = F.interpolate(cam, (side, side), mode="bilinear")[0, 0].detach()
    return padded[64:192, 64:192]


@pytest.mark.parametrize(("build", "layer"), TOWERS.values(), ids=TOWERS)
def test_heat_is_the_papers_formula_on_the_last_map_brought_to_the_xray(build: Callable, layer: str):
    classifier, shares = build(), []
    if isinstance(classifier, ClipClassifier):
        texts = F.normalize(torch.randn(classifier.embed_prompts(classifier.prompts).shape))
        texts[1] = -texts[0]  # so what speaks against the first class has heat for the second
        classifier.embed_prompts = lambda prompts: texts.numpy()
    for number, label in enumerate(LABELS):
        expected = by_hand(classifier, layer, number)
        explained = explain(classifier, IMAGE, LUNGS, label)
        assert explained.label == label
        assert explained.heat.dtype == np.float32
        np.testing.assert_allclose(explained.heat, expected / max(expected.max(), 1e-20), atol=1e-3)
        shares.append(explained.inside_lungs)
        if explained.inside_lungs is not None:
            assert explained.heat.max() == 1
            assert explained.inside_lungs == pytest.approx(expected[LUNGS].sum() / expected.sum(), abs=1e-3)
    assert any(shares)


def test_a_network_that_is_blind_but_for_one_quadrant_has_heat_there_only():
    quadrant = rectangle((32, 32), np.s_[:16], np.s_[16:])
    image, lungs = np.full((64, 96), 0.75, np.float32), rectangle((64, 96), np.s_[:32], np.s_[:60])
    explained = explain(bright("full", 32, quadrant), image, lungs)
    assert explained.label == "bright"
    assert (explained.heat[:31, 49:] == 1).all()
    assert not explained.heat[33:].any()
    assert not explained.heat[:, :46].any()  # between them, the heat falls from one cell of the map to the next
    assert explained.inside_lungs == pytest.approx(explained.heat[:32, :60].sum() / explained.heat.sum())


def test_what_speaks_against_a_class_is_no_heat():
    explained = explain(bright("full", 32), np.ones((32, 32), np.float32), np.ones((32, 32), bool), "dark")
    assert explained.label == "dark"
    assert not explained.heat.any()
    assert explained.inside_lungs is None


SQUARES = {"off centre": np.s_[5:15, 24:44], "beyond the image": np.s_[0:8, 28:48]}


@pytest.mark.parametrize("part", SQUARES.values(), ids=SQUARES)
def test_a_crop_gives_every_pixel_its_own_heat_and_none_to_what_it_does_not_show(part):
    image = np.random.default_rng(0).uniform(0.1, 1, (40, 48)).astype(np.float32)
    lungs = rectangle(image.shape, *part)  # 20 columns wide, so the square's side is 22
    top, left, bottom, right = view_box(lungs, "crop", image.shape)
    shown = np.s_[max(top, 0) : bottom, max(left, 0) : right]
    expected = np.zeros_like(image)
    expected[shown] = image[shown]
    explained = explain(bright("crop", 22), image, lungs, "bright")
    np.testing.assert_allclose(explained.heat, expected / expected.max(), atol=1e-3)
    assert np.array_equal(explained.heat > 0, expected > 0)
    assert explained.inside_lungs == pytest.approx(image[lungs].sum() / image[shown].sum(), abs=1e-4)


@pytest.mark.parametrize(("view", "size"), [("lungs", 54), ("crop", 54), ("full", 240)])
def test_a_bright_spot_is_found_at_its_place_when_the_view_is_stretched(view, size):
    image, lungs = np.zeros((40, 48), np.float32), rectangle((40, 48), np.s_[2:14], np.s_[30:46])
    image[6:9, 38:43] = 1
    heat = explain(bright(view, size), image, lungs).heat
    rows, columns = np.indices(heat.shape)
    assert (heat * rows).sum() / heat.sum() == pytest.approx(7, abs=0.02)
    assert (heat * columns).sum() / heat.sum() == pytest.approx(40, abs=0.02)
    assert not heat[:4].any()
    assert not heat[:, 45:].any()


def test_the_ends_of_an_image_that_a_processor_cuts_off_have_no_heat():
    wide = np.ones((20, 40), np.float32)
    classifier = bright("full", 20)
    classifier.processor = CLIPImageProcessor(
        size={"shortest_edge": 20}, crop_size={"height": 20, "width": 20}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    expected = rectangle(wide.shape, np.s_[:], np.s_[10:30])
    np.testing.assert_allclose(explain(classifier, wide, expected).heat, expected, atol=1e-3)
    assert explain(classifier, wide, rectangle(wide.shape, np.s_[:5], np.s_[:20])).inside_lungs == pytest.approx(1 / 8)


def hooks(model: nn.Module) -> list[int]:
    return [len(layer._forward_hooks) + len(layer._backward_hooks) for layer in model.modules()]


@pytest.mark.parametrize("build", [resnet, lite, tiny_models.clip])
@pytest.mark.parametrize("inference", [False, True])
def test_nothing_is_left_behind_on_the_model(build, inference):
    classifier = build()
    first, *others = classifier.model.parameters()
    first.requires_grad_(False)
    others[0].grad = torch.ones_like(others[0])
    answer, before = classifier(IMAGE, LUNGS), hooks(classifier.model)
    with torch.inference_mode(inference):
        explain(classifier, IMAGE, LUNGS)
        with pytest.raises(ValueError, match="not a class"):
            explain(classifier, IMAGE, LUNGS, "Other")
    assert hooks(classifier.model) == before
    assert not first.requires_grad
    assert all(parameter.requires_grad for parameter in others)
    assert torch.equal(others[0].grad, torch.ones_like(others[0]))
    assert all(parameter.grad is None for parameter in [first, *others[1:]])
    assert not any(layer.training for layer in classifier.model.modules())
    assert classifier(IMAGE, LUNGS) == answer


@pytest.mark.parametrize("build", [resnet, tiny_models.clip])
def test_frozen_weights_give_the_same_heat(build):
    classifier = build()
    explained = explain(classifier, IMAGE, LUNGS)
    classifier.model.requires_grad_(False)
    assert np.array_equal(explain(classifier, IMAGE, LUNGS).heat, explained.heat)


@pytest.mark.parametrize("build", [resnet, tiny_models.clip])
def test_the_most_probable_class_is_explained_when_none_is_named(build):
    classifier = build()
    answer = classifier(IMAGE, LUNGS)
    explained = classifier.explain(IMAGE, LUNGS)
    assert explained.label == max(answer, key=answer.get)
    assert np.array_equal(explained.heat, classifier.explain(IMAGE, LUNGS, explained.label).heat)


@pytest.mark.parametrize("build", [resnet, tiny_models.clip])
def test_a_label_that_is_no_class_is_refused_with_those_that_are(build):
    with pytest.raises(ValueError, match=r"^'Flu' is not a class of this model; choose one of COVID-19, Non-COV"):
        explain(build(), IMAGE, LUNGS, "Flu")


@pytest.mark.parametrize("build", [resnet, tiny_models.clip])
def test_a_view_of_lungs_has_no_explanation_without_them(build):
    with pytest.raises(NoLungs, match="No lungs were outlined"):
        explain(build(), IMAGE, np.zeros_like(LUNGS))


def test_a_clip_is_explained_for_the_sentences_it_is_given():
    classifier, own = tiny_models.clip(), {"ill": ["COVID-19 lungs"], "well": ["Normal", "a chest X-ray"]}
    answer, labels = classifier(IMAGE, LUNGS, own), [None, "ill", "well"]
    given = [explain(classifier, IMAGE, LUNGS, label, own) for label in labels]
    assert [explained.label for explained in given] == [max(answer, key=answer.get), "ill", "well"]
    assert not np.array_equal(given[1].heat, given[2].heat)
    with pytest.raises(ValueError, match=r"^'Normal' is not a class of this model; choose one of ill, well\.$"):
        explain(classifier, IMAGE, LUNGS, "Normal", own)
    with pytest.raises(ValueError, match="Every class needs at least one prompt"):
        explain(classifier, IMAGE, LUNGS, prompts={})
    classifier = ClipClassifier.new(classifier.model, classifier.processor, list(own), "lungs")
    classifier.model.config.prompts = own
    for label, explained in zip(labels, given, strict=True):
        assert np.array_equal(explain(classifier, IMAGE, LUNGS, label).heat, explained.heat)


def test_a_network_without_a_map_is_refused_in_a_sentence():
    classifier = bright("full", 32)
    classifier.model.forward = lambda pixel_values: SimpleNamespace(logits=pixel_values.mean(dim=(2, 3)))
    with pytest.raises(ValueError, match=r"^This model's image tower has neither a feature map nor a row of patches"):
        explain(classifier, IMAGE, LUNGS)


@pytest.mark.parametrize("part", SQUARES.values(), ids=SQUARES)
def test_a_views_box_holds_what_the_view_shows(part):
    image = np.random.default_rng(0).random((40, 48), dtype=np.float32)
    lungs = rectangle(image.shape, *part)
    top, left, bottom, right = view_box(lungs, "crop", image.shape)
    padded = np.pad(image, 30)
    assert np.array_equal(padded[top + 30 : bottom + 30, left + 30 : right + 30], apply_view(image, lungs, "crop"))
    assert view_box(lungs, "lungs", image.shape) == view_box(lungs, "shape", image.shape) == (top, left, bottom, right)
    for view in ("full", "lungs_hidden", "box_hidden", "thumbnail"):
        assert view_box(lungs, view, image.shape) == (0, 0, 40, 48)


def test_cold_places_stay_the_xray_and_hot_ones_take_the_colour():
    image, heat = np.float32([[0, 1, 0.4, 0.4]]), np.float32([[0, 0, 1, 1 / 3]])
    picture = draw_heat(image, heat, opacity=0.5)
    assert picture.dtype == np.uint8
    hot, warm = np.array([252, 255, 164]), np.array([0x78, 0x1C, 0x6D])  # the end of inferno, and its step at a third
    expected = [[[0] * 3, [255] * 3, (102 + hot) / 2, 102 + (warm - 102) / 6]]
    np.testing.assert_allclose(picture, expected, atol=0.51)


def test_the_colours_are_infernos():
    heat = np.linspace(0, 1, 256, dtype=np.float32)[None]
    image = colormaps["inferno"](heat, bytes=True)[..., :3].astype(np.float32)
    half = draw_heat(np.zeros_like(heat), heat, opacity=1)
    assert np.abs(half - heat[..., None] * image).max() <= 10
