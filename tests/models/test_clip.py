from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModel, AutoProcessor

from hub_models.models.clip import ClipClassifier
from hub_models.models.labels import LABELS
from hub_models.xray.phantom import draw_phantom
from tests.support import tiny_models

PHANTOM = draw_phantom(1, size=128)
XRAY = (PHANTOM.image.astype(np.float32) / 255, PHANTOM.lungs)


def zero_shot(folder: Path, picture: np.ndarray, prompts: dict[str, list[str]]) -> list[float]:
    """Radford et al. 2021, section 3.1, in NumPy: each class's unit vectors averaged, softmax of the scaled cosines.

    Every sentence and the picture, uint8 (H, W), are embedded one by one with plain transformers.
    """
    model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)

    def unit(features: torch.Tensor) -> np.ndarray:
        return features[0].numpy() / np.linalg.norm(features[0].numpy())

    def text(sentence: str) -> np.ndarray:
        return unit(model.get_text_features(**processor.tokenizer(sentence, return_tensors="pt")).pooler_output)

    with torch.inference_mode():
        pixels = processor.image_processor(Image.fromarray(picture).convert("RGB"), return_tensors="pt")
        image = unit(model.get_image_features(**pixels).pooler_output)
        means = [np.mean([text(sentence) for sentence in sentences], axis=0) for sentences in prompts.values()]
        temperature = model.logit_scale.exp().item()
    exponentials = np.exp([temperature * mean @ image / np.linalg.norm(mean) for mean in means])
    return list(exponentials / exponentials.sum())


def test_free_sentences_are_answered_by_the_formula_in_the_order_they_are_given(tmp_path):
    tiny_models.clip(view="full").save_pretrained(tmp_path)
    drawn = draw_phantom(2, size=32).image  # the model's own size: nothing is resized
    prompts = {"ill": ["COVID-19 lungs", "a chest X-ray of COVID-19"], "well": ["Normal"], "a dog": ["or a dog"]}
    clip = ClipClassifier.from_pretrained(tmp_path)
    (answered,) = clip.answer(clip.embed(clip.pixel_values([drawn.astype(np.float32) / 255])), prompts=prompts)
    assert list(answered) == ["ill", "well", "a dog"]
    assert list(answered.values()) == pytest.approx(zero_shot(tmp_path, drawn, prompts), abs=1e-5)


def test_the_models_own_prompts_are_used_when_none_are_given():
    model = tiny_models.clip()
    assert model(*XRAY) == model(*XRAY, model.prompts)
    assert model(*XRAY) != model(*XRAY, {label: [label] for label in LABELS})


def test_edited_prompts_are_saved_with_the_model(tmp_path):
    model = tiny_models.clip(("well", "ill"))
    model.model.config.prompts = {"well": ["Normal lungs"], "ill": ["COVID-19", "Non-COVID"]}
    model.save_pretrained(tmp_path)
    prompts = ClipClassifier.from_pretrained(tmp_path).prompts
    assert list(prompts.items()) == [("well", ["Normal lungs"]), ("ill", ["COVID-19", "Non-COVID"])]


def test_a_model_that_names_no_classes_gets_the_default_ones_and_the_whole_image():
    plain = tiny_models.clip(("well", "ill"))
    del plain.model.config.prompts, plain.model.config.view
    assert plain.labels == list(LABELS)
    assert plain.view == "full"


def test_a_long_sentence_is_cut_at_the_towers_length_and_still_ends():
    model = tiny_models.clip()
    (ids,) = model.tokens(["lungs " * 500])["input_ids"]
    assert len(ids) == model.model.config.text_config.max_position_embeddings == 77
    assert ids[-1] == model.processor.tokenizer.eos_token_id
    cut, longer = ({"a": ["lungs " * count], "b": ["COVID-19"]} for count in (500, 600))
    assert model(*XRAY, cut) == model(*XRAY, longer)


@pytest.mark.parametrize("prompts", [{}, {"ill": [], "well": ["lungs"]}, {"ill": ["lungs"], "well": [" ", ""]}])
def test_a_class_without_a_sentence_is_refused(prompts):
    with pytest.raises(ValueError, match="Every class needs at least one prompt"):
        tiny_models.clip()(*XRAY, prompts)


def test_a_blank_line_among_the_sentences_counts_for_nothing():
    model = tiny_models.clip()
    with_blank, without = ({"a": lines, "b": ["COVID-19"]} for lines in (["lungs", "  "], ["lungs"]))
    assert model(*XRAY, with_blank) == model(*XRAY, without)


def test_remembered_prompts_give_the_answers_of_a_classifier_that_was_never_asked():
    model = tiny_models.clip()
    one, other = {"a": ["lungs", "COVID-19"], "b": ["Normal"]}, {"a": ["Normal"], "b": ["chest"]}
    many = {str(number): [f"lungs {number}"] for number in range(300)}  # more than are remembered
    for prompts in (one, other, one, many, one, other):
        assert model(*XRAY, prompts) == ClipClassifier(model.model, model.processor)(*XRAY, prompts)


def test_a_model_without_a_text_tower_is_refused(checkpoints, tmp_path):
    AutoModel.from_pretrained(checkpoints["resnet"]).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="holds a ResNetModel, which is not a CLIP"):
        ClipClassifier.from_pretrained(tmp_path)
