"""From one X-ray to a report, with the tiny checkpoints."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hub_models.checkpoints.folder import Checkpoint, CheckpointError
from hub_models.checkpoints.roles import ROLES
from hub_models.engines.engine import Engine
from hub_models.models.clip import ClipClassifier
from hub_models.models.conclusion import conclude
from hub_models.models.features import SharedFeatures
from hub_models.models.fusion import FusionClassifier
from hub_models.models.resnet import ResnetClassifier
from hub_models.models.unet import Masks, Segmenter
from hub_models.pipeline import XrayPipeline
from hub_models.xray.masks import Involvement, measure_involvement
from hub_models.xray.phantom import draw_phantom
from hub_models.xray.verdict import NO_LUNGS
from tests.support import tiny_models

PHANTOM = draw_phantom(5, size=128, opacities=2)
IMAGE = PHANTOM.image.astype(np.float32) / 255
NOTHING = np.zeros_like(PHANTOM.lungs)


@pytest.fixture
def overrides(checkpoints: dict[str, Path]) -> dict[str, str]:
    return {role: str(folder) for role, folder in checkpoints.items()}


def outlines(masks: Masks) -> SimpleNamespace:
    """A segmenter that outlines the same on every X-ray."""
    return SimpleNamespace(
        segment=lambda images, views: [masks] * len([*images, *views]), engine=Engine(), network_names=("network",)
    )


drawn = outlines(Masks(PHANTOM.lungs, PHANTOM.infection))
nothing = outlines(Masks(NOTHING, NOTHING))


def refusal(overrides: dict[str, str]) -> str:
    """What `from_pretrained` says, in one line that ends as a sentence does."""
    with pytest.raises(CheckpointError) as error:
        XrayPipeline.from_pretrained(overrides)
    message = str(error.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert not message.endswith("..")
    return message


def test_every_role_is_loaded_from_the_folder_it_is_given(overrides):
    pipeline = XrayPipeline.from_pretrained(overrides)
    assert pipeline.checkpoints == {
        role: Checkpoint(role, Path(overrides[role]), "folder", overrides[role]) for role in ROLES
    }
    assert isinstance(pipeline.segmenter, Segmenter)
    kinds = {role: type(classifier) for role, classifier in pipeline.classifiers.items()}
    assert kinds == {
        "resnet": ResnetClassifier,
        "clip-zero-shot": ClipClassifier,
        "clip-finetuned": ClipClassifier,
        "fusion": FusionClassifier,
    }


def test_roles_that_are_not_named_come_from_the_environment_or_the_project(overrides, monkeypatch):
    monkeypatch.setattr("hub_models.checkpoints.resolve.EMBEDDED", Path(overrides["unet"]).parent)
    monkeypatch.setenv("XRAY_RESNET", overrides["resnet"])
    found = XrayPipeline.from_pretrained({"clip-zero-shot": overrides["clip-finetuned"]}).checkpoints
    assert {role: (one.origin, one.folder.name) for role, one in found.items()} == {
        "unet": ("embedded", "unet"),
        "resnet": ("folder", "resnet"),
        "clip-zero-shot": ("folder", "clip-finetuned"),
        "clip-finetuned": ("embedded", "clip-finetuned"),
        "fusion": ("embedded", "fusion"),
    }


def test_a_report_holds_what_the_single_models_say(overrides):
    report = XrayPipeline.from_pretrained(overrides)(IMAGE)

    masks = Segmenter.from_pretrained(overrides["unet"])(IMAGE)
    assert np.array_equal(report.image, IMAGE)
    assert np.array_equal(report.masks.lungs, masks.lungs)
    assert np.array_equal(report.masks.infection, masks.infection)
    assert report.involvement.shares == measure_involvement(masks.lungs, masks.infection).shares
    expected = {
        "resnet": ResnetClassifier.from_pretrained(overrides["resnet"])(IMAGE, masks.lungs),
        "clip-zero-shot": ClipClassifier.from_pretrained(overrides["clip-zero-shot"])(IMAGE, masks.lungs),
        "clip-finetuned": ClipClassifier.from_pretrained(overrides["clip-finetuned"])(IMAGE, masks.lungs),
    }
    # The tiny fusion is untrained, so it answers the geometric mean of both.
    both = {label: (expected["resnet"][label] * share) ** 0.5 for label, share in expected["clip-finetuned"].items()}
    expected["fusion"] = pytest.approx({label: share / sum(both.values()) for label, share in both.items()}, abs=1e-3)
    assert report.classifiers == expected
    assert report.notes == []


@pytest.mark.parametrize("strangeness", [None, 0.3, 0.9])
def test_a_report_holds_what_the_classifiers_say_together(overrides, strangeness):
    pipeline, prompts = XrayPipeline.from_pretrained(overrides), {"ill": ["COVID-19"], "well": ["Normal"]}
    pipeline.segmenter = outlines(Masks(PHANTOM.lungs, PHANTOM.infection, strangeness))
    for asked, counted in ((None, 4), (prompts, 3)):
        report = pipeline(IMAGE, asked)
        assert report.conclusion == conclude(report.classifiers, pipeline.classifiers, asked, strangeness)
        assert (report.conclusion.of, report.conclusion.unlike) == (counted, strangeness == 0.9)
        assert report.strangeness == strangeness


def test_the_classifiers_are_shown_the_outlined_lungs_and_the_infected_share_is_of_them():
    resnet = tiny_models.resnet()
    report = XrayPipeline(drawn, {"resnet": resnet}, {})(IMAGE)
    assert report.classifiers == {"resnet": resnet(IMAGE, PHANTOM.lungs)}
    assert report.involvement.both == PHANTOM.infection.sum() / PHANTOM.lungs.sum()


def test_a_visitors_sentences_reach_the_zero_shot_clip_only():
    clip = tiny_models.clip()
    pipeline = XrayPipeline(drawn, {"clip-zero-shot": clip, "clip-finetuned": clip}, {})
    prompts = {"ill": ["COVID-19 lungs"], "well": ["Normal lungs"]}
    answers = pipeline(IMAGE, prompts).classifiers
    assert answers == {
        "clip-zero-shot": clip(IMAGE, PHANTOM.lungs, prompts),
        "clip-finetuned": clip(IMAGE, PHANTOM.lungs),
    }
    with pytest.raises(ValueError, match="Every class needs at least one prompt"):
        pipeline(IMAGE, {"ill": [], "well": ["Normal lungs"]})


def test_without_lungs_there_is_a_note_for_each_view_that_needs_them_and_the_others_answer():
    whole = tiny_models.clip(view="full")
    classifiers = {
        "resnet": tiny_models.resnet(),
        "clip-zero-shot": whole,
        "clip-finetuned": tiny_models.clip(view="crop"),
    }
    pipeline = XrayPipeline(nothing, classifiers, {})
    refused = pipeline(IMAGE)
    assert (refused.refused, refused.classifiers, refused.notes) == (True, {}, [])
    assert refused.reasons == (NO_LUNGS,)
    report = pipeline(IMAGE, anyway=True)
    assert report.reasons == (NO_LUNGS,)
    assert report.classifiers == {"clip-zero-shot": whole(IMAGE)}
    assert report.notes == [
        "resnet gave no answer: No lungs were outlined, and the view 'lungs' needs them.",
        "clip-finetuned gave no answer: No lungs were outlined, and the view 'crop' needs them.",
    ]
    assert report.involvement == Involvement(None, None, None)


def test_an_unknown_role_is_answered_with_the_roles_there_are(overrides):
    roles = ", ".join(ROLES)
    assert refusal({**overrides, "vit": "/anywhere"}) == f"There is no role 'vit'; the roles are {roles}."


@pytest.mark.parametrize(
    ("role", "given", "kind"),
    [
        ("unet", "resnet", "resnet"),
        ("unet", "clip-finetuned", "clip"),
        ("resnet", "unet", "Unet"),
        ("resnet", "clip-zero-shot", "clip"),
        ("clip-zero-shot", "unet", "Unet"),
        ("clip-finetuned", "resnet", "resnet"),
        ("fusion", "clip-finetuned", "clip"),
        ("resnet", "fusion", "xray-fusion"),
    ],
)
def test_another_kind_of_model_is_refused_by_folder_kind_and_role(overrides, role, given, kind):
    message = refusal({**overrides, role: overrides[given]})
    assert message.startswith(f"{overrides[given]} holds a model of the kind {kind}; ")
    assert role in message.rpartition(";")[2]


@pytest.mark.parametrize("role", ["unet", "resnet", "clip-zero-shot", "fusion"])
@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("model.safetensors", b"no weights", "The {role} model in {folder} does not load: "),
        ("config.json", b"{", "The config.json in {folder} is not a model's configuration: "),
        ("config.json", b"[]", "The config.json in {folder} is not a model's configuration: "),
        ("config.json", b"{}", "{folder} holds a model of the kind None; "),
    ],
)
def test_a_spoiled_file_is_refused_in_a_sentence(overrides, tmp_path, role, name, content, reason):
    folder = shutil.copytree(overrides[role], tmp_path / "spoiled")
    (folder / name).write_bytes(content)
    assert refusal({**overrides, role: str(folder)}).startswith(reason.format(role=role, folder=folder))


def test_weights_that_are_cut_short_are_refused_in_a_sentence(overrides, tmp_path):
    folder = shutil.copytree(overrides["resnet"], tmp_path / "cut")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    assert refusal({**overrides, "resnet": str(folder)}).startswith(f"The resnet model in {folder} does not load: ")


def test_another_checkpoint_takes_its_roles_place_and_one_that_does_not_load_changes_nothing(overrides, tmp_path):
    pipeline = XrayPipeline.from_pretrained(overrides)
    tiny_models.resnet(("ill", "well")).save_pretrained(tmp_path)
    chosen = Checkpoint("resnet", tmp_path, "folder", str(tmp_path))
    pipeline.use(chosen)
    assert pipeline.checkpoints["resnet"] == chosen
    assert pipeline.classifiers["resnet"].labels == ["ill", "well"]

    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    for role in ("resnet", "unet"):
        with pytest.raises(CheckpointError):
            pipeline.use(Checkpoint(role, tmp_path, "folder", "spoiled"))
    assert pipeline.classifiers["resnet"].labels == ["ill", "well"]
    assert {role: found.name for role, found in pipeline.checkpoints.items()} == {**overrides, "resnet": str(tmp_path)}


def test_a_fusion_whose_part_was_exchanged_says_so_until_the_part_is_back(overrides, tmp_path):
    pipeline = XrayPipeline.from_pretrained(overrides)
    before = pipeline(IMAGE)
    tiny_models.resnet().save_pretrained(tmp_path)
    tiny_models.change_weights(tmp_path)
    pipeline.use(Checkpoint("resnet", tmp_path, "folder", "another"))
    report = pipeline(IMAGE)
    assert sorted(report.classifiers) == ["clip-finetuned", "clip-zero-shot", "resnet"]
    (note,) = report.notes
    assert note.startswith("fusion gave no answer: The fusion was trained with another resnet than the one in use; ")
    pipeline.use(Checkpoint("resnet", Path(overrides["resnet"]), "folder", "back"))
    assert pipeline(IMAGE).classifiers == before.classifiers
    assert set(pipeline.explain(IMAGE, before.masks)) == {"resnet", "clip-zero-shot", "clip-finetuned"}


def test_both_clips_are_compared_by_sentence_beside_a_resnet_that_knows_its_own_classes(overrides):
    pipeline = XrayPipeline.from_pretrained(overrides)
    ((masks, _),) = pipeline.segment([IMAGE])
    prompts = {"ill": ["COVID-19 lungs"], "well": ["Normal lungs", "a chest X-ray"]}
    answers, notes, sentences = pipeline.compare_prompts(IMAGE, masks, prompts)
    clip = pipeline.classifiers["clip-finetuned"]
    assert list(answers) == ["clip-zero-shot", "clip-finetuned", "resnet"]
    assert answers["clip-finetuned"] == clip(IMAGE, masks.lungs, prompts)
    assert answers["resnet"] == pipeline.classifiers["resnet"](IMAGE, masks.lungs)
    assert notes == []
    assert [(row["class"], row["sentence"]) for row in sentences] == [
        (label, text) for label, texts in prompts.items() for text in texts
    ]
    cosine = clip.embed_prompts({"ill": ["COVID-19 lungs"]}) @ SharedFeatures([IMAGE], [masks.lungs]).vectors(clip)[0]
    assert sentences[0]["clip-finetuned"] == pytest.approx(float(cosine[0]), abs=1e-5)
    _, notes, sentences = pipeline.compare_prompts(IMAGE, Masks(NOTHING, NOTHING), prompts)
    assert len(notes) == 3
    assert "clip-finetuned" not in sentences[0]
