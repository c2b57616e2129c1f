"""What was measured, as one Markdown document."""

from collections.abc import Mapping, Sequence

from hub_models.reports.description import one_line

PARTS = ("networks", "end-to-end", "page", "startup", "batch")
"""What can be measured, in the order of the report."""

NOT_MEASURED = "not measured"


def write_report(facts: Mapping) -> str:
    """The document that tells what `python -m hub_models.benchmark` found.

    Args:
        facts: "machine", the "engines" in use by role, "rounds", the "side" of the X-rays, each of `PARTS` that was
            measured, and "left_out".
    """
    written = [section(facts) for name, section in SECTIONS.items() if name in facts]
    left_out = facts["left_out"] or ["Nothing."]
    return "\n\n".join([_head(facts), *written, "## What was left out", _bullets(left_out)]) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def figure(value: float | int | None, decimals: int = 1, unit: str = "") -> str:
    """A number with its unit, or that there is none."""
    if value is None:
        return NOT_MEASURED
    return f"{value:,}{unit}" if isinstance(value, int) else f"{value:,.{decimals}f}{unit}"


def _head(facts: Mapping) -> str:
    machine = facts["machine"]
    versions = ", ".join(f"{name} {version or 'not installed'}" for name, version in machine["versions"].items())
    engines = "; ".join(f"{role}: {engine}" for role, engine in facts["engines"].items())
    settings = ", ".join(f"{name}={value}" for name, value in machine["settings"].items())
    told = {
        "Date": machine["date"],
        "Processor": f"{machine['processor']}, {machine['cores']} cores; a network gets {machine['threads']} threads",
        "Load before": f"{figure(machine['load'])} programs that wanted a core in the last minute",
        "Versions": f"Python {machine['python']}, {versions}",
        "Settings": settings or "none",
        "Engines in use": engines,
        "Rounds": f"{facts['rounds']}; each runs every variant once, in an order drawn by lot",
    }
    return "# How soon it answers\n\n" + _bullets([f"{name}: {value}" for name, value in told.items()])


def _networks(facts: Mapping) -> str:
    found, dataset = facts["networks"], facts["dataset"]
    head = ["role", "part", "engine", "precision", "MB", "p50 ms", "p95 ms", "images/s of 8", "x PyTorch", "x floor"]
    head += ["difference", "quality"]
    rows = [
        [
            *(one[name] for name in ("role", "part", "engine", "precision")),
            figure(one["megabytes"]),
            figure(one["p50_ms"], 2),
            figure(one["p95_ms"], 2),
            figure(one["per_second"]),
            figure(one["speedup"], 2),
            figure(one["over_floor"], 2),
            f"{one['difference']:.1e}",
            _quality(one["quality"]),
        ]
        for one in found["rows"]
    ]
    told = f"""p50 and p95 are of one X-ray, or sentence, at a time. *x PyTorch*: how many times sooner than PyTorch
    runs the same network. *x floor*: p50 over the time that its operations take at the
    {found["gflops_per_second"]:.1f} GFLOP/s that the fastest float32 matrix product of these rounds reached; int8, and
    float32 methods that need fewer operations, may stay under 1. *difference*: the largest from PyTorch's outputs, as a
    share of the largest of those. *MB*: of the file; PyTorch's holds all networks of its checkpoint, in float16, and a
    float32 file of another engine reads its weights from there."""
    worth = f"*quality*: of the whole model on the validation split of {dataset}." if dataset else ""
    worth = worth or "*quality* is not told: that needs --quality."
    return "\n\n".join(["## Networks", table(head, rows), one_line(told), worth])


def _quality(measured: Mapping | None) -> str:
    if measured is None:
        return NOT_MEASURED
    scores = [f"{name} {value:.4f}" for name, value in measured.items() if name != "images"]
    return f"{', '.join(scores)} ({measured['images']} images)"


def square(facts: Mapping) -> str:
    """The size of the drawn X-rays in words."""
    return f"{facts['side']} x {facts['side']}"


def _end_to_end(facts: Mapping) -> str:
    found = facts["end-to-end"]
    ways = found["ways"]
    names = list(dict.fromkeys(stage for way in ways.values() for stage in way["stages"]))
    head = ["stage", *(f"{way}, {column}" for way in ways for column in ("p50 ms", "share"))]
    rows = []
    for name in sorted(names, key=lambda name: -ways["torch"]["stages"].get(name, {"share": 0})["share"]):
        stages = [way["stages"].get(name, {"p50_ms": 0.0, "share": 0.0}) for way in ways.values()]
        rows.append([name, *(cell for one in stages for cell in (figure(one["p50_ms"], 2), f"{one['share']:.1%}"))])
    for name, key, share in (("everything, p50", "p50_ms", "100.0%"), ("everything, p95", "p95_ms", "")):
        rows.append([name, *(cell for way in ways.values() for cell in (figure(way[key], 2), share))])
    rows.append(["no network", *(cell for way in ways.values() for cell in ("", f"{way['not_network']:.1%}"))])
    told = f"""From the bytes of a drawn X-ray, a PNG of {square(facts)} pixels, to those of the outlined picture, with
    masks and all answers, by what the page calls. A stage's time is its own, without those of the stages inside it; the
    shares are of all rounds together."""
    return "\n\n".join(["## End to end", _faster(found), table(head, rows), one_line(told)])


def _faster(found: Mapping) -> str:
    if found["speedup"] is None:
        return "Only PyTorch is in use, so there is nothing to compare it with."
    agreed = found["agreement"]
    told = f"""The engines in use answer **{found["speedup"]:.2f} times** sooner than PyTorch from end to end, and their
    networks alone {found["network_speedup"]:.2f} times. Of {agreed["answers"]} answers of classifiers to
    {agreed["images"]} X-rays {agreed["same_class"]} name the same class; the largest difference of a probability is
    {figure(agreed["probability"], 4)}, of the infected share {agreed["share"]:.4f}, and the lowest Dice between the
    lungs is {agreed["lungs_dice"]:.4f}."""
    return one_line(told)


def _page(facts: Mapping) -> str:
    head = ["clients at once", "requests", "errors", "answers/s", "p50 s", "p95 s", "p99 s", "longest wait / median"]
    head.append("memory, MB")
    rows = [
        [
            *(figure(one[name]) for name in ("clients", "requests", "errors")),
            figure(one["per_second"], 2),
            *(figure(one[f"p{percent}_s"], 2) for percent in (50, 95, 99)),
            figure(one["unfair"], 2),
            figure(one["growth_mb"]),
        ]
        for one in facts["page"]["rows"]
    ]
    told = f"""Each client calls /analyse with a drawn X-ray of {square(facts)} pixels, waits for the answer, and calls
    again. *longest wait / median* is of the client that waited longest. *memory* is how much more of it the page's
    process used after the last request than after the 50th of the same row."""
    errors = [f"The first error: {one['first_error']}" for one in facts["page"]["rows"] if one["first_error"]]
    return "\n\n".join(["## The page", table(head, rows), one_line(told), *errors])


def _startup(facts: Mapping) -> str:
    found = facts["startup"]
    rows = [
        ["`import app`", figure(found["import"], 2)],
        ["start of the process until the page answers", figure(found["opened"], 2)],
        ["start of the process until the first analysis is there", figure(found["answered"], 2)],
    ]
    imported = f"`import app` imported {' and '.join(found['imported'] or ['neither torch nor transformers'])}."
    told = f"Medians of {found['times']} new processes, whose files the system had read before."
    return "\n\n".join(["## Startup", table(["what", "seconds"], rows), f"{imported} {told}"])


def _batch(facts: Mapping) -> str:
    found = facts["batch"]
    rows = [
        ["hub_models.batch.run", figure(found["batch_per_second"], 2), figure(found["speedup"], 2)],
        ["one after the other", figure(found["loop_per_second"], 2), "1.00"],
    ]
    told = f"""{found["images"]} PNG files of {square(facts)} pixels by each way, which took turns;
    {found["same_classes"]} got the same classes by both. Growth of the memory in use from the end of the first turn to
    that of the last: {figure(found["growth_mb"], unit=" MB")}."""
    return "\n\n".join(["## Batch", table(["way", "images/s", "x loop"], rows), one_line(told)])


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


SECTIONS = dict(zip(PARTS, (_networks, _end_to_end, _page, _startup, _batch), strict=True))
