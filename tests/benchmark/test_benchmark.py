"""What is measured is what is told: on known times, and on tiny models of which nothing but the plan is compared."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from hub_models.benchmark import (
    WrongUse,
    __main__,
    batch,
    document,
    end_to_end,
    inputs,
    machine,
    networks,
    page,
    startup,
)
from hub_models.benchmark.page import Page, PageError, Request
from hub_models.benchmark.quality import Quality, files_digest
from hub_models.benchmark.timing import Stages, interleaved, percentile
from hub_models.checkpoints.choices import variable
from hub_models.engines.engine import Engine
from hub_models.engines.pytorch.operations import count_flops, matrix_product
from hub_models.models.unet import Masks
from hub_models.pipeline import Report, XrayPipeline
from hub_models.reports.overlay import draw_overlay, sketch
from hub_models.reports.png import encode_png
from hub_models.xray.images import read_image
from hub_models.xray.masks import Involvement
from tests.support.fake_pipeline import FakePipeline, serve

PARTS = {"unet": ["network"], "resnet": ["network"], "clip-zero-shot": ["image", "text"]}
PARTS["clip-finetuned"] = PARTS["clip-zero-shot"]


@pytest.fixture(scope="module")
def pipeline(checkpoints: dict[str, Path], exported: Callable[[str], Path]) -> XrayPipeline:
    """Tiny models, of which only the ResNet has an ONNX file."""
    folders = checkpoints | {"resnet": exported("resnet")}
    return XrayPipeline.from_pretrained({role: str(folder) for role, folder in folders.items()})


class Clock:
    """Seconds that pass only when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def ending(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What the command says on stderr when it measures nothing; its exit code is 2."""
    with pytest.raises(SystemExit) as end:
        __main__.main(list(map(str, arguments)))
    said = capsys.readouterr()
    assert (end.value.code, said.out) == (2, "")
    return said.err.splitlines()[-1]


# Rounds, percentiles and stages


def test_each_round_runs_every_variant_once_in_another_order_and_the_first_does_not_count():
    clock, ran = Clock(), []

    def variant(name: str, times: Iterator[float]) -> Callable[[], None]:
        return lambda: (ran.append(name), clock.wait(next(times)))

    steps = {"a": count(1), "b": count(100, 10), "c": iter([9, 8, 7, 6, 5, 4])}
    seconds = interleaved({name: variant(name, times) for name, times in steps.items()}, 5, clock=clock)
    assert seconds == {"a": [2, 3, 4, 5, 6], "b": [110, 120, 130, 140, 150], "c": [8, 7, 6, 5, 4]}
    rounds = ["".join(ran[start : start + 3]) for start in range(0, 18, 3)]
    assert {"".join(sorted(order)) for order in rounds} == {"abc"}
    assert len(set(rounds)) > 2


def test_percentiles_are_those_of_known_samples():
    assert percentile([5.0, 1.0, 3.0], 50) == 3
    assert percentile(range(101), 95) == 95
    assert percentile([1.0, 2.0], 95) == pytest.approx(1.95)
    assert percentile([7.0], 99) == 7


def test_a_stage_counts_without_those_inside_it_and_all_add_up():
    clock = Clock()
    stages = Stages(clock)
    with stages("outer"):
        clock.wait(1)
        for _ in range(2):
            with stages("inner"):
                clock.wait(10)
                with stages("innermost"):
                    clock.wait(100)
        clock.wait(2)
    with stages("outer"):
        clock.wait(4)
    assert stages.take() == {"outer": 7, "inner": 20, "innermost": 200}
    assert clock.now == 227
    assert stages.take() == {}


def test_a_stage_that_fails_is_counted_and_a_method_is_watched_no_longer_than_asked():
    clock = Clock()
    stages = Stages(clock)
    owner = SimpleNamespace()

    class Owner:
        def wait(self, seconds: float) -> str:
            clock.wait(seconds)
            raise ValueError

    owner = Owner()
    with pytest.raises(ValueError), stages("around"), stages.watch(owner, "wait", "waiting"):  # noqa: PT011
        owner.wait(3)
    assert stages.take() == {"waiting": 3, "around": 0}
    with pytest.raises(ValueError):  # noqa: PT011
        owner.wait(3)
    assert stages.take() == {}


# The arithmetic floor


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def test_operations_of_a_convolution_and_a_layer_are_those_counted_by_hand():
    convolution = nn.Conv2d(2, 3, kernel_size=3, stride=2, padding=1)
    assert count_flops(convolution, [random(4, 2, 8, 8)]) == 2 * (4 * 4 * 4) * 3 * (2 * 9)
    assert count_flops(nn.Linear(5, 7), [random(3, 5)]) == 2 * 3 * 5 * 7


def test_both_products_of_an_attention_are_counted():
    class Attention(nn.Module):
        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)

    assert count_flops(Attention(), [random(1, 2, 10, 16)]) == 2 * (2 * 2 * 10 * 10 * 16)


def test_the_matrix_product_has_the_operations_that_it_is_said_to_have():
    class Product(nn.Module):
        def forward(self) -> torch.Tensor:
            left, right = matrix_product(networks.MATRIX_SIDE).args
            return left @ right

    assert count_flops(Product(), []) == networks.PRODUCT_OPERATIONS
    left, right = matrix_product(networks.MATRIX_SIDE).args
    assert torch.equal(matrix_product(networks.MATRIX_SIDE)(), left @ right)


# Networks


def variant(engine: Engine, network: nn.Module, inputs: np.ndarray) -> networks.Variant:
    return networks.Variant("resnet", "network", engine, network, (inputs,), (np.repeat(inputs, 8, axis=0),), 1.5)


def test_a_row_tells_percentiles_rates_and_ratios_of_known_times():
    class Halves(nn.Linear):
        def forward(self, given: torch.Tensor) -> tuple[torch.Tensor]:
            return (super().forward(given),)

    network, given = Halves(5, 7), random(1, 5)

    def larger(inputs: np.ndarray) -> tuple[np.ndarray]:
        return (1.25 * network(torch.from_numpy(inputs))[0].detach().numpy(),)

    torch_one = variant(Engine(), network, given)
    quick = variant(Engine("openvino", "int8", {"network": larger}), network, given)
    seconds = {
        (torch_one, "single"): [0.4, 0.2, 0.3],
        (torch_one, "batch"): [2.0],
        (quick, "single"): [0.1, 0.1, 0.3],
        (quick, "batch"): [0.5, 0.4, 0.4],
    }
    found = networks.row(quick, [torch_one, quick], seconds, 350.0, {"openvino, int8": {"accuracy": 0.5}})
    assert found["difference"] == pytest.approx(0.25, rel=1e-5)
    assert found.pop("difference")
    assert found == {
        "role": "resnet",
        "part": "network",
        "engine": "openvino",
        "precision": "int8",
        "megabytes": 1.5,
        "p50_ms": 100,
        "p95_ms": pytest.approx(280),
        "per_second": 20,
        "speedup": pytest.approx(3),
        "gflop": 70e-9,
        "over_floor": pytest.approx(0.1 * 350 / 70),
        "quality": {"accuracy": 0.5},
    }
    slow = networks.row(torch_one, [torch_one, quick], seconds, 350.0, {})
    assert (slow["speedup"], slow["difference"], slow["quality"]) == (1, 0, None)


def test_an_output_that_is_no_number_is_told_as_the_difference():
    network = nn.Identity()
    broken = Engine("openvino", "int8", {"network": lambda x: (x * np.nan,)})
    one = variant(broken, network, np.ones((1, 5), np.float32))
    network.forward = lambda x: (x,)
    network.weight = nn.Parameter(torch.ones(1))
    assert np.isnan(one.difference())


def test_networks_are_measured_in_every_engine_and_precision_that_there_is(pipeline):
    models = {"unet": pipeline.segmenter, "resnet": pipeline.classifiers["resnet"]}
    folders = {role: pipeline.checkpoints[role].folder for role in models}
    found = networks.measure_networks(models, folders, 1)
    named = [(row["role"], row["engine"], row["precision"]) for row in found["rows"]]
    assert named == [
        ("unet", "torch", "float32"),
        ("resnet", "torch", "float32"),
        ("resnet", "onnxruntime", "float32"),
        ("resnet", "openvino", "float32"),
    ]
    weights = folders["resnet"] / "model.safetensors"
    sizes = [weights.stat().st_size, *[(folders["resnet"] / "network.onnx").stat().st_size] * 2]
    assert [row["megabytes"] for row in found["rows"][1:]] == [size / 1e6 for size in sizes]
    assert max(row["difference"] for row in found["rows"]) < 1e-5
    assert found["left_out"] == [
        "unet has no network.onnx and no network.int8.onnx; hub_models.export and train.quantize write them.",
        "resnet has no network.int8.onnx; hub_models.export and train.quantize write them.",
    ]


def test_a_file_of_other_weights_and_an_engine_that_is_missing_are_left_out(pipeline, exported, tmp_path, monkeypatch):
    for name in ("network.onnx", "model.safetensors"):
        (tmp_path / name).write_bytes((exported("resnet") / name).read_bytes())
    (tmp_path / "network.int8.onnx").write_bytes(b"of nothing")
    find_spec = networks.importlib.util.find_spec
    monkeypatch.setattr(
        networks.importlib.util, "find_spec", lambda name: None if name == "openvino" else find_spec(name)
    )
    engines, problems = networks.open_engines("resnet", pipeline.classifiers["resnet"], tmp_path)
    assert list(map(str, engines)) == ["torch, float32", "onnxruntime, float32"]
    assert problems == [
        "resnet in onnxruntime, int8: network.int8.onnx was not made of these weights; export it again, or delete it."
    ]
    assert networks.missing_engines() == ["openvino is not installed: pip install -r requirements.txt."]


def test_what_a_model_is_worth_is_told_where_its_files_are_those_that_were_measured(pipeline, tmp_path):
    folders = {role: pipeline.checkpoints[role].folder for role in ("unet", "resnet", "clip-zero-shot")}
    measured = {role: {"torch, float32": {"accuracy": 0.75, "images": 6}} for role in ("unet", "resnet")}
    files = {"unet": files_digest(folders["resnet"]), "resnet": files_digest(folders["resnet"])}
    Quality("DATA", measured, files).save(tmp_path / "made" / "quality.json")
    quality = Quality.load(tmp_path / "made" / "quality.json")
    assert quality == Quality("DATA", measured, files)
    assert quality.of(folders) == (
        {"resnet": measured["resnet"]},
        [
            "The quality of unet was measured with other files; run train.scoring again.",
            "The quality of clip-zero-shot was not measured.",
        ],
    )
    found = networks.measure_networks({"resnet": pipeline.classifiers["resnet"]}, folders, 1, quality)
    assert [row["quality"] for row in found["rows"]] == [{"accuracy": 0.75, "images": 6}, None, None]
    assert "The quality of clip-zero-shot was not measured." in found["left_out"]


def test_another_onnx_file_makes_it_another_checkpoint(exported, tmp_path):
    shutil.copytree(exported("resnet"), tmp_path / "resnet")
    before = files_digest(tmp_path / "resnet")
    assert before == files_digest(exported("resnet"))
    (tmp_path / "resnet" / "network.int8.onnx").write_bytes(b"smaller")
    assert files_digest(tmp_path / "resnet") != before


@pytest.mark.parametrize("content", [None, "[1, 2]", '{"dataset": "DATA"}', "not JSON"])
def test_a_file_that_tells_no_quality_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "quality.json").write_text(content, encoding="utf-8")
    with pytest.raises(WrongUse, match=r"quality\.json is not a file that python -m train\.scoring wrote: .*\."):
        Quality.load(tmp_path / "quality.json")


def test_sentences_are_as_many_as_asked_for_and_the_models_own(pipeline):
    clip = pipeline.classifiers["clip-zero-shot"]
    texts = [text for sentences in clip.prompts.values() for text in sentences]
    ids, _ = networks.inputs_of(clip, "text", len(texts) + 1)
    assert np.array_equal(ids[:-1], clip.tokens(texts)["input_ids"])
    assert np.array_equal(ids[-1], ids[0])


# End to end


def test_stages_become_medians_and_shares_of_everything():
    runs = [{"decode": 0.1, "unet: network": 0.3}, {"decode": 0.3, "unet: network": 0.5}]
    runs.append({"decode": 0.2, "unet: network": 0.4, "resnet: network": 0.2})
    assert end_to_end.summary(runs) == {
        "p50_ms": pytest.approx(800),
        "p95_ms": pytest.approx(800),
        "network_ms": pytest.approx(500),
        "not_network": pytest.approx(0.3),
        "stages": {
            "decode": {"p50_ms": pytest.approx(200), "share": pytest.approx(0.3)},
            "unet: network": {"p50_ms": pytest.approx(400), "share": pytest.approx(0.6)},
            "resnet: network": {"p50_ms": 0, "share": pytest.approx(0.1)},
        },
    }


def test_the_way_from_file_to_answer_is_that_of_the_page(pipeline):
    (data,) = inputs.draw_files(1, 96)
    drawn, told = end_to_end.answer(pipeline, data, Stages())
    expected = pipeline(read_image(data))
    assert drawn == encode_png(draw_overlay(sketch(expected.image, expected.masks)))
    assert {role: one["probabilities"] for role, one in told["classifiers"].items()} == expected.classifiers
    assert told["infected_share"]["both"] == expected.involvement.both


def test_all_stages_of_both_ways_add_up_and_nothing_is_changed_for_good(pipeline):
    before = pipeline.engines
    found = end_to_end.measure_end_to_end(pipeline, inputs.draw_files(2, 96), 2)
    assert list(found["ways"]) == ["torch", "in use"]
    for way in found["ways"].values():
        assert sum(stage["share"] for stage in way["stages"].values()) == pytest.approx(1)
        ran = {stage for stage, taken in way["stages"].items() if stage.endswith(": network") and taken["share"] > 0}
        assert ran == {f"{role}: network" for role in ("unet", "resnet", "clip-zero-shot", "clip-finetuned", "fusion")}
        assert 0 < way["not_network"] < 1
        assert 0 < way["p50_ms"] <= way["p95_ms"]
    assert found["speedup"] == found["ways"]["torch"]["p50_ms"] / found["ways"]["in use"]["p50_ms"]
    agreed = found["agreement"]
    assert (agreed["images"], agreed["answers"], agreed["same_class"], agreed["lungs_dice"]) == (2, 8, 8, 1)
    assert agreed["probability"] < 1e-5
    assert pipeline.engines == before
    for one in (pipeline.segmenter, *pipeline.classifiers.values(), *before.values()):
        assert not {"run", "pixel_values", "masks", "answer"} & vars(one).keys()


def test_only_pytorch_in_use_is_compared_with_nothing(pipeline):
    with end_to_end.running(pipeline, {role: Engine() for role in pipeline.engines}):
        found = end_to_end.measure_end_to_end(pipeline, inputs.draw_files(1, 96), 1)
    assert list(found["ways"]) == ["torch"]
    assert (found["speedup"], found["network_speedup"], found["agreement"]) == (None, None, None)


def test_the_difference_between_two_reports_is_told():
    def seen(lungs: int, share: float | None, **classifiers: dict[str, float]) -> Report:
        mask = np.arange(10)[None] < lungs
        return Report(mask.astype(np.float32), Masks(mask, ~mask), Involvement(None, None, share), classifiers, [])

    slow = [seen(4, 0.5, a={"x": 0.75, "y": 0.25}, b={"x": 0.5, "y": 0.25}), seen(0, None, a={"x": 0.25, "y": 0.75})]
    quick = [seen(6, 0.25, a={"x": 0.25, "y": 0.75}), seen(0, None, a={"x": 0.125, "y": 0.875})]
    assert end_to_end.compare(slow, quick) == {
        "images": 2,
        "answers": 2,
        "same_class": 1,
        "probability": 0.5,
        "share": 0.25,
        "lungs_dice": 0.8,
    }


# The page


def test_waits_become_percentiles_and_errors_are_counted_apart():
    made = [Request(0, 1.0), Request(1, 2.0), Request(2, 9.0, "AppError: busy"), Request(0, 2.0), Request(1, 6.0)]
    assert page.summary(3, made, 8.0) == {
        "clients": 3,
        "requests": 5,
        "per_second": 0.5,
        "p50_s": 2,
        "p95_s": pytest.approx(5.4),
        "p99_s": pytest.approx(5.88),
        "unfair": 3,
        "errors": 1,
        "first_error": "AppError: busy",
    }
    nothing = page.summary(1, [Request(0, 9.0, "AppError: busy")], 8.0)
    assert (nothing["p50_s"], nothing["unfair"], nothing["per_second"], nothing["errors"]) == (None, None, None, 1)


def test_several_clients_ask_the_page_at_once_and_a_refused_file_is_an_error(tmp_path, monkeypatch, xray):
    monkeypatch.setattr(page, "SETTLED_REQUESTS", 2)
    memory = iter([100.0, 130.5])
    monkeypatch.setattr(page, "resident", lambda process: next(memory) if process == 7 else None)
    blank = tmp_path / "blank.png"
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(blank)
    asked = FakePipeline(tmp_path)
    with serve(asked) as url:
        found = page.load(url, [xray, blank], 2, 3, 7)
    assert (found["clients"], found["requests"], found["errors"]) == (2, 4, 2)
    assert found["first_error"].startswith("AppError: The image is blank")
    assert len(asked.images) == 2
    assert found["growth_mb"] == 30.5
    assert 0 < found["p50_s"] < 20


def test_memory_that_never_settled_is_not_told(monkeypatch):
    monkeypatch.setattr(page, "connect", lambda *_: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(page, "_request", lambda asked, client, xray: Request(client, 1.0))
    for requests, growth in ((page.SETTLED_REQUESTS, None), (page.SETTLED_REQUESTS + 1, 0.0)):
        monkeypatch.setattr(page, "resident", lambda process: 100.0)
        assert page.load("", [Path("a.png")], 1, requests, 1)["growth_mb"] == growth
    monkeypatch.setattr(page, "resident", lambda process: None)
    assert page.load("", [Path("a.png")], 1, page.SETTLED_REQUESTS + 1, 1)["growth_mb"] is None


SERVER = """
import http.server, os, sys
print("opening")
http.server.HTTPServer(("127.0.0.1", int(os.environ["GRADIO_SERVER_PORT"])), type("Page", (
    http.server.BaseHTTPRequestHandler,), {"do_GET": lambda self: (self.send_response(200), self.end_headers())})
).serve_forever()
"""


def test_the_page_is_a_process_that_ends_with_the_measurement(tmp_path):
    script = tmp_path / "app.py"
    script.write_text(SERVER)
    with page.serve({}, script) as served:
        assert served.opened > 0
        assert machine.resident(served.process) > 1
    with pytest.raises(ProcessLookupError):
        os.kill(served.process, 0)


def test_a_page_that_does_not_open_is_told_with_its_last_words(tmp_path):
    script = tmp_path / "app.py"
    script.write_text("import os; print('first'); raise SystemExit(os.environ['WORDS'])")
    with (
        pytest.raises(PageError, match=r"^The page does not open: the last words$"),
        page.serve({"WORDS": "the last words"}, script),
    ):
        pass


def test_startup_is_told_in_medians(monkeypatch):
    starts, imports, answers = iter([10, 20, 30]), iter([3.0, 1.0, 2.0]), iter([15.0, 27.0, 36.0])

    @contextmanager
    def served(environment: dict[str, str]) -> Iterator[Page]:
        assert environment == {"XRAY_UNET": "somewhere"}
        start = next(starts)
        yield Page("url", 1, start, start / 10)

    monkeypatch.setattr(startup, "serve", served)
    monkeypatch.setattr(startup, "import_page", lambda: (next(imports), ["torch"]))
    monkeypatch.setattr(startup, "first_answer", lambda url, file, work: next(answers) if file.is_file() else None)
    assert startup.measure_startup({"XRAY_UNET": "somewhere"}, b"file") == {
        "import": 2,
        "opened": 2,
        "answered": 6,
        "imported": ["torch"],
        "times": 3,
    }


def test_an_import_is_timed_in_a_new_interpreter_and_what_came_with_it_is_told(tmp_path, monkeypatch):
    (tmp_path / "app.py").write_text("import sys; sys.modules['transformers'] = sys; print('hello')")
    monkeypatch.setattr(startup, "APP", tmp_path / "app.py")
    seconds, imported = startup.import_page()
    assert seconds > 0
    assert imported == ["transformers"]
    (tmp_path / "app.py").write_text("import nothing_of_that_name")
    with pytest.raises(PageError, match=r"^The page cannot be imported: ModuleNotFoundError: No module"):
        startup.import_page()


# Batch


def test_both_ways_through_a_folder_take_turns_and_give_the_same_classes(pipeline, monkeypatch):
    clock, memory, ran = Clock(), iter([100.0, 110.0, 105.0, 120.0]), []

    def slowly(way: str, seconds: float) -> Callable:
        def answered(*arguments) -> list[dict[str, str]]:
            ran.append(way)
            found = original[way](*arguments)
            clock.wait(seconds * len(found))
            return found

        return answered

    original = {"in_batch": batch.in_batch, "in_loop": batch.in_loop}
    monkeypatch.setattr(batch, "in_batch", slowly("in_batch", 0.25))
    monkeypatch.setattr(batch, "in_loop", slowly("in_loop", 0.5))
    monkeypatch.setattr(batch, "resident", lambda: next(memory))
    found = batch.measure_batch(pipeline, inputs.draw_files(2, 96), 6, clock)
    assert found == {
        "images": 6,
        "batch_per_second": 4,
        "loop_per_second": 2,
        "speedup": 2,
        "same_classes": 6,
        "growth_mb": 20,
    }
    assert ran == ["in_batch", "in_loop", "in_loop", "in_batch"] * 2


# The machine, the ONNX files of elsewhere, and the whole command


def test_the_processor_and_the_memory_of_a_process_are_what_the_system_tells(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Quick 9000\n\nmodel name\t: Quick 9000\n")
    assert machine.processor() == "Quick 9000"
    assert machine.resident(2**30) is None
    grown = np.ones(40_000_000, np.uint8)
    with_it = machine.resident()
    del grown
    assert with_it > 40


def test_settings_and_versions_are_told(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setattr(machine, "PACKAGES", ("torch", "no-such-package"))
    told = machine.describe_machine()
    assert told["settings"]["OMP_WAIT_POLICY"] == "PASSIVE"
    assert told["versions"] == {"torch": torch.__version__.partition("+")[0], "no-such-package": None}


def test_onnx_files_of_elsewhere_lie_beside_a_copy_of_the_weights(checkpoints, exported, tmp_path, monkeypatch):
    for role, folder in checkpoints.items():
        monkeypatch.setenv(variable(role), str(folder))
    (tmp_path / "resnet").mkdir()
    (tmp_path / "resnet" / "network.onnx").write_bytes((exported("resnet") / "network.onnx").read_bytes())
    with inputs.with_exports(tmp_path) as found:
        copied = {path.name: path.read_bytes() for path in Path(found["resnet"]).iterdir()}
        pipeline = XrayPipeline.from_pretrained(found)
        assert found.keys() == {"resnet"}
    assert pipeline.engine_names["resnet"] == "openvino, float32"
    assert copied.pop("network.onnx") == (exported("resnet") / "network.onnx").read_bytes()
    assert copied == {path.name: path.read_bytes() for path in checkpoints["resnet"].iterdir()}
    with inputs.with_exports(None) as found:
        assert found == {}


def test_the_command_writes_what_it_prints_with_every_row_and_what_is_missing(
    checkpoints, exported, tmp_path, monkeypatch, capsys
):
    for role, folder in checkpoints.items():
        monkeypatch.setenv(variable(role), str(folder))
    asked = ["--sections", "networks", "end-to-end", "batch", "--rounds", "2", "--images", "5", "--side", "96"]
    where = ["--exports", str(exported("resnet").parent), "--output_dir", str(tmp_path)]
    assert __main__.main(asked + where) == 0
    text, facts = (tmp_path / "benchmark.md").read_text(), json.loads((tmp_path / "benchmark.json").read_text())
    assert capsys.readouterr().out == text + "\n"
    rows = [(row["role"], row["part"], row["engine"], row["precision"]) for row in facts["networks"]["rows"]]
    in_torch = [(role, part, "torch", "float32") for role, parts in PARTS.items() for part in parts]
    assert [row for row in rows if row[2] == "torch"] == in_torch
    assert sorted(set(rows) - set(in_torch)) == [
        ("resnet", "network", "onnxruntime", "float32"),
        ("resnet", "network", "openvino", "float32"),
    ]
    for row in facts["networks"]["rows"]:
        assert f"| {row['role']} | {row['part']} | {row['engine']} | {row['precision']} | " in text
        assert row["p50_ms"] > 0
        assert row["over_floor"] == pytest.approx(
            row["p50_ms"] / 1e3 * facts["networks"]["gflops_per_second"] / row["gflop"]
        )
    for stage in facts["end-to-end"]["ways"]["torch"]["stages"]:
        assert f"\n| {stage} | " in text
    assert facts["batch"]["same_classes"] == facts["batch"]["images"] == 5
    assert f"{machine.processor()}, {os.cpu_count()} cores" in text
    assert "resnet: openvino, float32" in text
    assert "5 PNG files of 96 x 96 pixels by each way" in text
    assert "*quality* is missing: it needs --quality." in text
    assert "- The section page was not chosen.\n- The section startup was not chosen.\n" in text
    assert (
        "- unet has no network.onnx and no network.int8.onnx; hub_models.export and train.quantize write them.\n"
        in text
    )


def test_a_part_that_fails_is_told_and_the_others_are_measured():
    facts = {"left_out": []}

    def fail() -> dict:
        raise PageError("The page does not open: it says nothing")

    parts = {"page": fail, "batch": lambda: {"images": 3, "left_out": ["Something."]}}
    assert not __main__.measure(facts, parts)
    assert facts["batch"] == {"images": 3}
    assert facts["left_out"][:2] == ["The section page: The page does not open: it says nothing", "Something."]
    assert facts["left_out"][2:] == [
        f"The section {name} was not chosen." for name in ("networks", "end-to-end", "startup")
    ]


def test_the_page_and_the_startup_are_told_with_what_could_not_be_measured():
    waits = {"p50_s": 0.25, "p95_s": 0.5, "p99_s": 1234.5, "per_second": 2.0, "unfair": 4.0}
    rows = [{"clients": 1, "requests": 1000, "errors": 0, **waits, "growth_mb": 1.25, "first_error": None}]
    rows.append(
        {"clients": 8, "requests": 8, "errors": 8, **dict.fromkeys(waits), "growth_mb": None, "first_error": "E: no"}
    )
    facts = {
        "machine": machine.describe_machine(),
        "engines": {},
        "rounds": 2,
        "side": 96,
        "left_out": [],
        "page": {"rows": rows},
        "startup": {"import": 1.0, "opened": 2.0, "answered": 3.0, "imported": [], "times": 3},
    }
    text = document.write_document(facts)
    missing = document.NOT_MEASURED
    assert "| 1 | 1,000 | 0 | 2.00 | 0.25 | 0.50 | 1,234.50 | 4.00 | 1.2 |\n" in text
    assert f"| 8 | 8 | 8 | {missing} | {missing} | {missing} | {missing} | {missing} | {missing} |\n" in text
    assert "The first error: E: no" in text
    assert "`import app` imported neither torch nor transformers." in text
    assert text.endswith("## What was left out\n\n- Nothing.\n")


def test_what_cannot_be_measured_is_refused_in_one_sentence(checkpoints, tmp_path, monkeypatch, capsys):
    for role, folder in checkpoints.items():
        monkeypatch.setenv(variable(role), str(folder))
    out = ["--output_dir", tmp_path]
    assert ending(capsys, "--rounds", "0").endswith("argument --rounds: '0' is not a number above 0")
    assert ending(capsys, "--exports", tmp_path, *out).startswith(f"There is no ROLE/*.onnx in {tmp_path};")
    (tmp_path / "file").write_text("")
    assert "cannot be the folder of the report" in ending(capsys, "--output_dir", tmp_path / "file")
    message = ending(capsys, "--sections", "networks", "--rounds", "1", "--quality", "nowhere", *out)
    assert message.startswith("nowhere is not a file that python -m train.scoring wrote: ")
    monkeypatch.setenv("XRAY_ENGINE", "steam")
    assert "XRAY_ENGINE is 'steam'" in ending(capsys, *out)
    monkeypatch.setattr(__main__, "has_graphics_card", lambda: True)
    assert ending(capsys, *out) == "This measures the processor; hide the graphics card with CUDA_VISIBLE_DEVICES=-1."


def test_the_command_tells_how_it_is_used(capsys):
    with pytest.raises(SystemExit) as end:
        __main__.main(["--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    assert told.startswith("usage: python -m hub_models.benchmark [-h] [--quality FILE]")
    assert "{networks,end-to-end,page,startup,batch,against,peers,install}" in told
