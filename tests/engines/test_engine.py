"""What runs the networks. PyTorch's answers are the measure; the ONNX files are those of `exported`."""

import importlib.util
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from hub_models.checkpoints.choices import ENGINES
from hub_models.checkpoints.folder import Checkpoint, CheckpointError, weights_digest
from hub_models.engines import device, engine
from hub_models.engines.engine import SOURCE, Engine, graph_file, open_engine, source_of
from hub_models.models.loading import load_model
from hub_models.models.resnet import ResnetClassifier
from hub_models.pipeline import XrayPipeline
from hub_models.xray.images import read_image
from hub_models.xray.phantom import draw_phantom
from tests.support import tiny_models

EXPORTED = ("unet", "resnet", "clip-finetuned")
FAST = ("onnxruntime", "openvino")
SENTENCES = ["lungs", "a chest X-ray of Normal lungs", "COVID-19 " * 200, "Non-COVID", "a chest"]
PHANTOM = draw_phantom(1, size=128)
IMAGE = PHANTOM.image.astype(np.float32) / 255
PARTS = ("network",)


def load(folder: Path, role: str = "resnet"):
    return load_model(Checkpoint(role, folder, "folder", "tiny"))


def inputs_of(model, part: str, count: int) -> tuple[np.ndarray, ...]:
    """Inputs of a part, as many as asked for."""
    if part == "text":
        return tuple(model.tokens(SENTENCES[:count]).values())
    views = [draw_phantom(seed, size=64).image.astype(np.float32) / 255 for seed in range(count)]
    if model.networks[part].inputs == ("pixel_values",) and hasattr(model, "thresholds"):
        return (model.pixel_values(views),)
    return (model.pixel_values(views),)


@pytest.fixture
def folder(exported, tmp_path) -> Path:
    """A ResNet with its ONNX file, to be changed."""
    return shutil.copytree(exported("resnet"), tmp_path / "resnet")


@pytest.fixture
def installed(monkeypatch) -> Callable[..., None]:
    """Makes it so that no other engines than these, and PyTorch, are installed."""
    find_spec = importlib.util.find_spec

    def only(*names: str) -> None:
        hidden = {*FAST} - {*names}
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in hidden else find_spec(name))

    return only


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("role", EXPORTED)
def test_an_engine_gives_what_pytorch_gives_for_any_number_of_inputs(exported, role, name):
    model = load(exported(role), role)
    assert tuple(model.networks) == model.network_names
    engine = open_engine(exported(role), tuple(model.networks), name)
    assert (str(engine), engine.problem, engine.networks.keys()) == (f"{name}, float32", None, model.networks.keys())
    for part, module in model.networks.items():
        for count in (1, 2, 5):
            inputs = inputs_of(model, part, count)
            wanted, found = Engine().run(part, module, *inputs), engine.run(part, module, *inputs)
            assert len(found) == len(wanted)
            for slow, quick in zip(wanted, found, strict=True):
                assert slow.shape[0] == count
                np.testing.assert_allclose(quick, slow, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("names", "cores"), [(("openvino", "onnxruntime"), 1), (("openvino", "torch"), 2), ((), 1)])
def test_pytorch_leaves_the_cores_to_other_engines_while_they_alone_answer(monkeypatch, names, cores):
    monkeypatch.setattr(engine, "threads", lambda: 2)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with engine.cores_for([Engine(name) for name in names]):
            assert torch.get_num_threads() == cores
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_blas_has_one_thread_while_an_engine_runs_and_its_own_number_after(monkeypatch):
    libraries = list(device.blas_threads())
    assert libraries  # NumPy brings one
    before = [library.num_threads for library in libraries]
    monkeypatch.setattr(engine, "blas_threads", lambda: dict.fromkeys(libraries, 2))
    try:
        with engine.cores_for([Engine("openvino")]):
            assert {library.num_threads for library in libraries} == {1}
        assert {library.num_threads for library in libraries} == {2}
    finally:
        for library, number in zip(libraries, before, strict=True):
            library.set_num_threads(number)


@pytest.mark.parametrize("name", FAST)
def test_a_file_is_opened_also_where_it_and_its_weights_are_links_as_in_the_cache_of_the_hub(exported, tmp_path, name):
    snapshot, blobs = tmp_path / "snapshots" / "abc", tmp_path / "blobs"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for number, file in enumerate(exported("resnet").iterdir()):
        shutil.copy(file, blobs / str(number))
        (snapshot / file.name).symlink_to(blobs / str(number))
    model = load(exported("resnet"))
    engine = open_engine(snapshot, PARTS, name)
    assert (str(engine), engine.problem) == (f"{name}, float32", None)
    inputs = inputs_of(model, "network", 1)
    wanted = Engine().run("network", model.networks["network"], *inputs)
    for quick, slow in zip(engine.run("network", None, *inputs), wanted, strict=True):
        np.testing.assert_allclose(quick, slow, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", FAST)
def test_every_model_gives_through_an_engine_the_answers_that_it_gives_in_pytorch(
    exported, checkpoints, monkeypatch, name
):
    chosen = {role: str(folder) for role, folder in checkpoints.items()}
    chosen |= {role: str(exported(role)) for role in EXPORTED}
    monkeypatch.setenv("XRAY_ENGINE", "torch")
    slow = XrayPipeline.from_pretrained(chosen)
    monkeypatch.setenv("XRAY_ENGINE", name)
    fast = XrayPipeline.from_pretrained(chosen)
    assert {str(one.engine) for one in (fast.segmenter, *fast.classifiers["fusion"].encoders)} == {f"{name}, float32"}
    assert {str(one.engine) for one in (slow.segmenter, *slow.classifiers["fusion"].encoders)} == {"torch, float32"}
    image = read_image(PHANTOM.image)
    np.testing.assert_allclose(
        fast.segmenter.probabilities_and_features([image])[1],
        slow.segmenter.probabilities_and_features([image])[1],
        rtol=0,
        atol=1e-4,
    )
    prompts = {"dark": ["a chest of Normal lungs", "lungs"], "bright": ["Non-COVID"]}
    for asked in (None, prompts):
        wanted, found = slow(image, asked).classifiers, fast(image, asked).classifiers
        assert found.keys() == {"resnet", "clip-zero-shot", "clip-finetuned", "fusion"}
        assert found == {role: pytest.approx(answer, abs=1e-4) for role, answer in wanted.items()}


@pytest.mark.parametrize("name", FAST)
def test_calls_that_overlap_give_what_they_give_one_after_the_other(exported, name):
    engine = open_engine(exported("resnet"), PARTS, name)
    many = [np.full((count % 3 + 1, 3, 32, 32), count / 20, np.float32) for count in range(20)]
    alone = [engine.networks["network"](pixels)[0] for pixels in many]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda pixels: engine.networks["network"](pixels)[0], many))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-6)
    assert not np.array_equal(alone[0], alone[3])


def test_networks_run_on_the_threads_that_they_are_given(exported, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    session = open_engine(exported("resnet"), PARTS, "onnxruntime").networks["network"].session
    compiled = open_engine(exported("resnet"), PARTS, "openvino").networks["network"].compiled
    assert session.get_session_options().intra_op_num_threads == 1
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1


def test_openvino_binds_no_thread_to_a_core_on_which_another_process_may_run(exported):
    compiled = open_engine(exported("resnet"), PARTS, "openvino").networks["network"].compiled
    assert compiled.get_property("ENABLE_CPU_PINNING") is False


def test_the_fastest_engine_that_is_installed_is_used(exported, installed):
    assert ENGINES == ("openvino", "onnxruntime", "torch")
    assert str(load(exported("resnet")).engine) == "openvino, float32"
    installed("onnxruntime")
    assert str(load(exported("resnet")).engine) == "onnxruntime, float32"
    installed()
    assert str(load(exported("resnet")).engine) == "torch, float32"


@pytest.mark.parametrize("name", ENGINES)
def test_the_environment_chooses_the_engine(exported, monkeypatch, name):
    monkeypatch.setenv("XRAY_ENGINE", name)
    engine = load(exported("resnet")).engine
    assert (str(engine), engine.problem, bool(engine.networks)) == (f"{name}, float32", None, name != "torch")


def test_a_checkpoint_without_onnx_files_runs_in_pytorch(checkpoints):
    engine = load(checkpoints["resnet"]).engine
    assert (str(engine), engine.problem) == ("torch, float32", None)


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("XRAY_ENGINE", "tensorrt", "XRAY_ENGINE is 'tensorrt'; choose one of openvino, onnxruntime, torch."),
        ("XRAY_ENGINE", "openvino", "XRAY_ENGINE is openvino, which is not installed: pip install openvino."),
        ("XRAY_PRECISION", "int4", "XRAY_PRECISION is 'int4'; choose one of int8, float32."),
    ],
)
def test_a_wish_that_cannot_be_granted_is_told_in_one_sentence(
    checkpoints, installed, monkeypatch, variable, value, sentence
):
    installed("onnxruntime")
    monkeypatch.setenv(variable, value)
    with pytest.raises(CheckpointError) as error:
        load(checkpoints["resnet"])
    assert str(error.value) == f"The resnet model in tiny does not load: {sentence}"


def test_int8_is_preferred_and_the_environment_chooses_the_precision(folder, monkeypatch):
    monkeypatch.setenv("XRAY_PRECISION", "int8")
    assert str(load(folder).engine) == "torch, float32"
    shutil.copy(graph_file(folder, "network", "float32"), graph_file(folder, "network", "int8"))
    assert str(load(folder).engine) == "openvino, int8"
    monkeypatch.setenv("XRAY_PRECISION", "float32")
    assert str(load(folder).engine) == "openvino, float32"
    monkeypatch.delenv("XRAY_PRECISION")
    assert str(load(folder).engine) == "openvino, int8"


def test_a_part_without_a_file_runs_in_pytorch(exported, tmp_path):
    folder = shutil.copytree(exported("clip-finetuned"), tmp_path / "clip")
    graph_file(folder, "text", "float32").unlink()
    model = load(folder, "clip-finetuned")
    assert model.engine.networks.keys() == {"image"}
    whole = load(exported("clip-finetuned"), "clip-finetuned")
    assert model(IMAGE, PHANTOM.lungs) == pytest.approx(whole(IMAGE, PHANTOM.lungs), abs=1e-4)


@pytest.mark.parametrize("name", FAST)
def test_a_file_that_was_made_of_other_weights_is_not_used_and_the_engine_says_so(folder, monkeypatch, name):
    monkeypatch.setenv("XRAY_ENGINE", name)
    assert load(folder).engine.problem is None
    tiny_models.change_weights(folder)
    model = load(folder)
    assert str(model.engine) == "torch, float32"
    problem = "network.onnx was not made of these weights; export it again, or delete it."
    assert model.engine.problem == problem
    assert model(IMAGE, PHANTOM.lungs) == ResnetClassifier.from_pretrained(folder)(IMAGE, PHANTOM.lungs)


def test_a_file_that_does_not_say_what_it_was_made_of_is_not_used(folder):
    file = graph_file(folder, "network", "float32")
    network = onnx.load(file)
    del network.metadata_props[:]
    onnx.save(network, file)
    assert load(folder).engine.problem.startswith("network.onnx was not made of these weights;")
    (folder / "model.safetensors").unlink()  # nor where nothing says which weights they are
    assert open_engine(folder, PARTS).problem.startswith("network.onnx was not made of these weights;")


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda data: data[:-20_000], "was not made of these weights; export it again, or delete it."),
        (lambda data: b"", "was not made of these weights; export it again, or delete it."),
        (lambda data: b"\xff" * 2000 + data[2000:], "cannot be opened; export it again, or delete it ("),
    ],
    ids=["cut off", "empty", "overwritten"],
)
def test_a_damaged_file_is_not_used_and_the_engine_says_so(folder, monkeypatch, name, harm, reason):
    monkeypatch.setenv("XRAY_ENGINE", name)
    file = graph_file(folder, "network", "float32")
    file.write_bytes(harm(file.read_bytes()))
    model = load(folder)
    assert str(model.engine) == "torch, float32"
    assert model.engine.problem.startswith(f"network.onnx {reason}")
    assert "\n" not in model.engine.problem
    assert model.engine.problem.endswith(".")
    assert model(IMAGE, PHANTOM.lungs) == ResnetClassifier.from_pretrained(folder)(IMAGE, PHANTOM.lungs)


def test_what_a_file_was_made_of_is_read_without_any_package_for_onnx(exported):
    for folder in map(exported, EXPORTED):
        for file in folder.glob("*.onnx"):
            metadata = {entry.key: entry.value for entry in onnx.load(file).metadata_props}
            assert source_of(file) == metadata[SOURCE] == weights_digest(folder)


def test_on_a_graphics_card_pytorch_runs_the_networks_unless_another_engine_is_named(exported, monkeypatch):
    monkeypatch.setattr(engine, "has_graphics_card", lambda: True)
    assert str(open_engine(exported("resnet"), PARTS)) == "torch, float32"
    assert str(open_engine(exported("resnet"), PARTS, "onnxruntime")) == "onnxruntime, float32"


def test_a_clip_reads_its_sentences_anew_when_another_engine_runs_it():
    model = tiny_models.clip()
    before = model.embed_classes()[1]
    model.engine = Engine(networks={"text": lambda ids, mask: (np.ones((len(ids), 4), np.float32) / 2,)})
    assert np.array_equal(model.embed_classes()[1], np.full((3, 4), 0.5))
    model.engine = Engine()
    assert np.array_equal(model.embed_classes()[1], before)


def test_a_resnets_network_ends_where_its_last_layer_begins(checkpoints):
    model = ResnetClassifier.from_pretrained(checkpoints["resnet"])
    pixels = model.pixel_values([IMAGE])
    features, maps = Engine().run("network", model.networks["network"], pixels)
    np.testing.assert_allclose(features, maps.mean(axis=(2, 3)), atol=1e-5)
    with torch.inference_mode():
        logits = model.model(torch.from_numpy(pixels)).logits
        assert torch.equal(model.model.classifier(torch.from_numpy(features)), logits)
