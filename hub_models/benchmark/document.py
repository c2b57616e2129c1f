"""The measurements as one Markdown document."""

from collections.abc import Mapping, Sequence

from hub_models.reports.description import one_line

SECTIONS = ("networks", "end-to-end", "page", "startup", "batch", "against", "peers", "install")
"""The measurements, in the order of the document."""

NOT_MEASURED = "not measured"


def write_document(facts: Mapping) -> str:
    """Write the document of one run of `python -m hub_models.benchmark`.

    Args:
        facts: "machine", the "engines" in use by role, "rounds", the "side" of the X-rays, each of `SECTIONS` that was
            measured, and "left_out".
    """
    written = [write(facts) for name, write in WRITERS.items() if name in facts]
    left_out = facts["left_out"] or ["Nothing."]
    return "\n\n".join([_head(facts), *written, "## What was left out", _bullets(left_out)]) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def figure(value: float | int | None, decimals: int = 1, unit: str = "") -> str:
    """Format a number with its unit, or say that it was not measured."""
    if value is None:
        return NOT_MEASURED
    return f"{value:,}{unit}" if isinstance(value, int) else f"{value:,.{decimals}f}{unit}"


def _head(facts: Mapping) -> str:
    machine = facts["machine"]
    versions = ", ".join(f"{name} {version or 'not installed'}" for name, version in machine["versions"].items())
    engines = "; ".join(f"{role}: {engine}" for role, engine in facts["engines"].items())
    settings = ", ".join(f"{name}={value}" for name, value in machine["settings"].items())
    lines = {
        "Date": machine["date"],
        "Processor": f"{machine['processor']}, {machine['cores']} cores; a network gets {machine['threads']} threads",
        "Load before": f"{figure(machine['load'])} programs that used or awaited a core in the last minute",
        "Versions": f"Python {machine['python']}, {versions}",
        "Settings": settings or "none",
        "Engines in use": engines,
        "Rounds": f"{facts['rounds']}; each runs every variant once, in an order drawn by lot",
    }
    return "# How soon it answers\n\n" + _bullets([f"{name}: {value}" for name, value in lines.items()])


def _networks(facts: Mapping) -> str:
    measured, dataset = facts["networks"], facts["dataset"]
    head = ["role", "part", "engine", "precision", "MB", "p50 ms", "p95 ms", "images/s of 8", "x PyTorch", "x floor"]
    head += ["difference", "quality"]
    rows = [
        [
            *(row[name] for name in ("role", "part", "engine", "precision")),
            figure(row["megabytes"]),
            figure(row["p50_ms"], 2),
            figure(row["p95_ms"], 2),
            figure(row["per_second"]),
            figure(row["speedup"], 2),
            figure(row["over_floor"], 2),
            f"{row['difference']:.1e}",
            _quality(row["quality"]),
        ]
        for row in measured["rows"]
    ]
    note = f"""p50 and p95 are of one X-ray, or sentence, at a time. *x PyTorch*: how many times sooner than
    PyTorch runs the same network. *x floor*: p50 over the time that its operations take at the
    {measured["gflops_per_second"]:.1f} GFLOP/s that the fastest float32 matrix product of these rounds reached; int8,
    and float32 methods that need fewer operations, may stay under 1. *difference*: the largest from PyTorch's outputs,
    as a share of the largest of those. *MB*: of the file; PyTorch's holds all networks of its checkpoint, in float16,
    and a float32 file of another engine reads its weights from there."""
    worth = f"*quality*: of the whole model on the validation split of {dataset}." if dataset else ""
    worth = worth or "*quality* is missing: it needs --quality."
    return "\n\n".join(["## Networks", table(head, rows), one_line(note), worth])


def _quality(measured: Mapping | None) -> str:
    if measured is None:
        return NOT_MEASURED
    scores = [f"{name} {value:.4f}" for name, value in measured.items() if name != "images"]
    return f"{', '.join(scores)} ({measured['images']} images)"


def square(facts: Mapping) -> str:
    """Write the size of the drawn X-rays in words."""
    return f"{facts['side']} x {facts['side']}"


def _end_to_end(facts: Mapping) -> str:
    measured = facts["end-to-end"]
    ways = measured["ways"]
    names = list(dict.fromkeys(stage for way in ways.values() for stage in way["stages"]))
    head = ["stage", *(f"{way}, {column}" for way in ways for column in ("p50 ms", "share"))]
    rows = []
    for name in sorted(names, key=lambda name: -ways["torch"]["stages"].get(name, {"share": 0})["share"]):
        stages = [way["stages"].get(name, {"p50_ms": 0.0, "share": 0.0}) for way in ways.values()]
        rows.append(
            [name, *(cell for stage in stages for cell in (figure(stage["p50_ms"], 2), f"{stage['share']:.1%}"))]
        )
    for name, key, share in (("everything, p50", "p50_ms", "100.0%"), ("everything, p95", "p95_ms", "")):
        rows.append([name, *(cell for way in ways.values() for cell in (figure(way[key], 2), share))])
    rows.append(["no network", *(cell for way in ways.values() for cell in ("", f"{way['not_network']:.1%}"))])
    note = f"""From the bytes of a drawn X-ray, a PNG of {square(facts)} pixels, to those of the outlined picture, with
    masks and all answers, by what the page calls. A stage's time is its own, without those of the stages inside it; the
    shares are of all rounds together."""
    return "\n\n".join(["## End to end", _faster(measured), table(head, rows), one_line(note)])


def _faster(measured: Mapping) -> str:
    if measured["speedup"] is None:
        return "Only PyTorch is in use, so there is nothing to compare it with."
    agreed = measured["agreement"]
    note = f"""The engines in use answer **{measured["speedup"]:.2f} times** sooner than PyTorch from end to end, and
    their networks alone {measured["network_speedup"]:.2f} times. Of {agreed["answers"]} answers of classifiers to
    {agreed["images"]} X-rays {agreed["same_class"]} name the same class; the largest difference of a probability is
    {figure(agreed["probability"], 4)}, of the infected share {agreed["share"]:.4f}, and the lowest Dice between the
    lungs is {agreed["lungs_dice"]:.4f}."""
    return one_line(note)


def _page(facts: Mapping) -> str:
    head = ["clients at once", "requests", "errors", "answers/s", "p50 s", "p95 s", "p99 s", "longest wait / median"]
    head.append("memory, MB")
    rows = [
        [
            *(figure(row[name]) for name in ("clients", "requests", "errors")),
            figure(row["per_second"], 2),
            *(figure(row[f"p{percent}_s"], 2) for percent in (50, 95, 99)),
            figure(row["unfair"], 2),
            figure(row["growth_mb"]),
        ]
        for row in facts["page"]["rows"]
    ]
    note = f"""Each client calls /analyse with a drawn X-ray of {square(facts)} pixels, waits for the answer, and calls
    again. *longest wait / median* is of the client that waited longest. *memory* is how much more of it the page's
    process used after the last request than after the 50th of the same row."""
    errors = [f"The first error: {row['first_error']}" for row in facts["page"]["rows"] if row["first_error"]]
    return "\n\n".join(["## The page", table(head, rows), one_line(note), *errors])


def _startup(facts: Mapping) -> str:
    measured = facts["startup"]
    rows = [
        ["`import app`", figure(measured["import"], 2)],
        ["start of the process until the page answers", figure(measured["opened"], 2)],
        ["start of the process until the first analysis is there", figure(measured["answered"], 2)],
    ]
    imported = f"`import app` imported {' and '.join(measured['imported'] or ['neither torch nor transformers'])}."
    note = f"Medians of {measured['times']} new processes, whose files the system had read before."
    return "\n\n".join(["## Startup", table(["what", "seconds"], rows), f"{imported} {note}"])


def _batch(facts: Mapping) -> str:
    measured = facts["batch"]
    rows = [
        ["hub_models.batch.run", figure(measured["batch_per_second"], 2), figure(measured["speedup"], 2)],
        ["one after the other", figure(measured["loop_per_second"], 2), "1.00"],
    ]
    note = f"""{measured["images"]} PNG files of {square(facts)} pixels by each way, which took turns;
    {measured["same_classes"]} got the same classes by both. Growth of the memory in use from the end of the first turn
    to that of the last: {figure(measured["growth_mb"], unit=" MB")}."""
    return "\n\n".join(["## Batch", table(["way", "images/s", "x loop"], rows), one_line(note)])


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _against(facts: Mapping) -> str:
    measured = facts["against"]
    files = [
        [
            row["file"],
            figure(row["this_ms"]),
            figure(row["other_ms"]),
            figure(row["ratio"], 2),
            "yes" if row["same_classes"] else "no",
        ]
        for row in measured["files"]
    ]
    pages = measured["page"]
    names = {
        "opened": "start until the page answers, s",
        "answered": "start until the first analysis, s",
        "per_second": "answers a second, many clients",
        "p99_s": "99 % of those within, s",
        "errors": "errors",
        "growth_mb": "growth of the memory in use, MB",
        "resident_mb": "memory in use after them, MB",
    }
    rows = [[name, *(figure(pages[who].get(key), 2) for who in ("this", "other"))] for key, name in names.items()]
    for key in ("per_second", "p99_s"):
        rows.append([f"{names[key]}, by /api/analyse", figure(pages["this"].get("plain", {}).get(key), 2), "-"])
    head = ["file", "this, ms", "other, ms", "other / this", "same classes"]
    return "\n\n".join(["## Beside the other checkout", table(head, files), table(["page", "this", "other"], rows)])


def _peers(facts: Mapping) -> str:
    rows = [
        [row["name"], row["file"], figure(row["p50_ms"]), figure(row["ratio"], 2)] for row in facts["peers"]["rows"]
    ]
    note = """From the file to masks and classes, medians of rounds in one run. The libraries run the same checkpoints
    as a user would write it, without ranges, refusals, mended masks, a joined answer or an outlined picture;
    torchxrayvision's networks have random weights, and outline and name other things."""
    head = ["who", "file", "p50 ms", "x this project"]
    return "\n\n".join(["## Beside others", table(head, rows), one_line(note)])


def _install(facts: Mapping) -> str:
    rows = [
        [row["name"], row["lock"], figure(row["seconds"]), figure(row["megabytes"], 0)]
        for row in facts["install"]["rows"]
    ]
    return "\n\n".join(["## Set-up", table(["checkout", "what is installed", "seconds", "MB"], rows)])


_WRITE = (_networks, _end_to_end, _page, _startup, _batch, _against, _peers, _install)
WRITERS = dict(zip(SECTIONS, _WRITE, strict=True))
