import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from transformers import AutoImageProcessor

from hub_models.models.plausibility import MAP_FEATURES
from hub_models.models.unet import Segmenter, new_processor
from hub_models.xray.geometry import SIDE
from hub_models.xray.phantom import draw_phantom
from tests.support import tiny_models

IMAGE = draw_phantom(1, size=128).image.astype(np.float32) / 255


@pytest.mark.parametrize("shape", [(33, 128), (101, 67), (64, 64)])
def test_the_first_output_is_the_lungs_and_the_second_the_infection_at_any_size(shape):
    found = tiny_models.unet()(np.resize(IMAGE, shape))  # it outlines everything as lungs and nothing as infection
    assert found.lungs.shape == found.infection.shape == (SIDE, SIDE)
    masks = found.at(shape)
    assert np.array_equal(masks.lungs, np.ones(shape, bool))
    assert np.array_equal(masks.infection, np.zeros(shape, bool))


def test_masks_lie_where_the_probabilities_do_in_an_image_of_odd_size():
    probabilities = np.zeros((2, 64, 64), np.float32)
    probabilities[0, :, :32], probabilities[1, :16] = 1, 1  # the left half, the upper quarter
    segmenter = tiny_models.unet()
    segmenter._maps_and_means = lambda images, judged: (probabilities[None], np.zeros((1, 0), np.float32))
    masks = segmenter(np.zeros((101, 67), np.float32)).at((101, 67))
    rows, columns = np.indices((101, 67)) + 0.5  # the middles of the pixels
    assert np.array_equal(masks.lungs, columns <= 67 / 2)
    assert np.array_equal(masks.infection, (rows <= 101 / 4) & (columns <= 67 / 2))  # in the lungs alone


def test_a_second_look_at_less_detail_gives_the_lungs_of_the_images_and_of_no_views():
    torch.manual_seed(0)
    network = Segmenter.new("resnet18", 64).network.eval()
    fine, coarse, both = (Segmenter(network, new_processor(64, detail)) for detail in (None, 32, None))
    both.processor.lungs_detail = 32
    images = [np.random.default_rng(seed).random((SIDE, SIDE), np.float32) for seed in range(2)]
    seen, seen_coarsely = (one.probabilities(images) for one in (fine, coarse))
    assert (np.abs(seen - seen_coarsely).max(axis=(0, 2, 3)) > 1e-3).all()  # lungs and infection, both
    found, features = both.probabilities_and_features(images)
    assert np.allclose(found, np.stack([seen_coarsely[:, 0], seen[:, 1]], axis=1), atol=1e-6)
    means = slice(None, -MAP_FEATURES)
    assert np.allclose(features[:, means], fine.probabilities_and_features(images)[1][:, means], atol=1e-6)
    with_a_view, _ = both._maps_and_means(images, judged=1)
    assert np.allclose(with_a_view[:, 0], [seen_coarsely[0, 0], seen[1, 0]], atol=1e-6)


def test_a_pixel_belongs_to_a_mask_from_the_masks_saved_threshold_on(tmp_path):
    segmenter = tiny_models.unet()
    segmenter.processor.thresholds = {"lungs": 0.25, "infection": 0.75}
    segmenter.save_pretrained(tmp_path)
    probabilities = np.full((2, 64, 64), 0.25, np.float32)
    probabilities[1], probabilities[1, :, :32] = 0.75, 0.74
    loaded = Segmenter.from_pretrained(tmp_path)
    masks = loaded.masks(probabilities)
    assert masks.lungs.all()
    assert np.array_equal(masks.infection, np.indices((64, 64))[1] >= 32)
    assert loaded.masks(probabilities, {"lungs": 0.25, "infection": 0.74}).infection.all()


def test_holes_and_specks_are_mended_in_the_lungs_and_small_ones_in_the_infection():
    probabilities = np.zeros((2, 64, 64), np.float32)
    probabilities[:, 10:40, 10:40], probabilities[:, 20:25, 20:25], probabilities[:, 60, 60] = 1, 0, 1
    probabilities[1, 30, 30] = 0
    masks = tiny_models.unet().masks(probabilities)
    whole = np.zeros((64, 64), bool)
    whole[10:40, 10:40] = True
    assert np.array_equal(masks.lungs, whole)
    expected = whole.copy()
    expected[20:25, 20:25] = False  # 25 pixels of 900 are no speck
    assert np.array_equal(masks.infection, expected)


def test_where_no_lungs_are_found_no_infection_is_shown():
    probabilities = np.zeros((2, 64, 64), np.float32)
    probabilities[1] = 1
    masks = tiny_models.unet().masks(probabilities)
    assert not masks.lungs.any()
    assert not masks.infection.any()


def test_a_mirroring_checkpoint_answers_the_mean_of_both_sides(tmp_path):
    torch.manual_seed(3)
    segmenter = Segmenter.new("resnet18", 64)
    plain, mirrored = (segmenter.probabilities([image])[0] for image in (IMAGE, IMAGE[:, ::-1]))
    segmenter.processor.mirror = True
    segmenter.save_pretrained(tmp_path)
    both = Segmenter.from_pretrained(tmp_path).probabilities([IMAGE])[0]
    np.testing.assert_allclose(both, (plain + mirrored[..., ::-1]) / 2, atol=2e-3)
    assert np.abs(both - plain).max() > 0.005


def test_the_folder_loads_with_plain_smp_and_transformers(tmp_path):
    tiny_models.unet().save_pretrained(tmp_path)
    network, processor = smp.from_pretrained(tmp_path), AutoImageProcessor.from_pretrained(tmp_path)
    pixels = processor(
        [torch.from_numpy(tiny_models.unet().square(IMAGE))[None]], do_rescale=False, return_tensors="pt"
    )["pixel_values"]
    with torch.inference_mode():
        logits = network(pixels).numpy()
    ours = Segmenter.from_pretrained(tmp_path).probabilities([IMAGE])
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), ours, rtol=1e-5)


def test_pixels_are_resized_to_the_networks_size_and_brought_to_minus_one_to_one():
    segmenter = tiny_models.unet()
    shapes = (((40, 90), 0.0), ((64, 64), 0.75), ((301, 7), 1.0))
    grey = [np.full(shape, value, np.float32) for shape, value in shapes]
    pixels = segmenter.pixel_values(grey)
    assert pixels.shape == (3, 1, 64, 64)
    for one, value in zip(pixels, (-1.0, 0.5, 1.0), strict=True):
        np.testing.assert_allclose(one, value, atol=1e-6)


def test_a_model_card_that_is_there_stays(tmp_path):
    (tmp_path / "README.md").write_text("# Mine\n")
    tiny_models.unet().save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "# Mine\n"


@pytest.mark.parametrize(
    ("network", "classes", "found"), [(smp.FPN, 2, "a FPN with 2 outputs"), (smp.Unet, 1, "a Unet with 1 outputs")]
)
def test_another_network_is_refused_by_what_it_is(tmp_path, network, classes, found):
    network("resnet18", encoder_weights=None, in_channels=1, classes=classes).save_pretrained(str(tmp_path))
    with pytest.raises(ValueError, match=f"holds {found}; wanted is a Unet with 2"):
        Segmenter.from_pretrained(tmp_path)


def test_a_model_of_another_library_is_refused(checkpoints):
    with pytest.raises(ValueError, match="holds no network of segmentation_models_pytorch"):
        Segmenter.from_pretrained(checkpoints["resnet"])


@pytest.mark.parametrize("size", [0, 16, 100])
def test_a_size_that_five_levels_do_not_divide_is_refused(size):
    with pytest.raises(ValueError, match=f"The image size is {size}; .* a multiple of 32"):
        Segmenter.new("resnet18", size)
