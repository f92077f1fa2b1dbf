"""Tools of the speed benchmarks: time and memory, and ratios beside the committed ones.

Each benchmark compares in one run, and reports ratios that are better the larger they are. Without
``--save`` it fails where a ratio is under 80 % of its goal or of its committed figure; of a goal
that the committed figure misses itself, only the figure counts.
"""

import argparse
import datetime
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from torch import nn

RESULTS = Path(__file__).parent / "results"
TOLERANCE = 0.8


class Ratio(NamedTuple):
    """A measured ratio, and what it should be at least (None: for information)."""

    name: str
    value: float
    goal: float | None = None


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return the parser of a benchmark's command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--short", action="store_true", help="the form of `make bench`")
    parser.add_argument("--save", action="store_true", help="commit to what is measured")
    parser.add_argument("--threads", type=int, help="of PyTorch; all cores where it is not given")
    return parser


def add_device(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Let a benchmark run on a GPU."""
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    return parser


def now() -> float:
    """Return the time when a GPU has done what it was given."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def in_turns(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return each function's median duration in seconds, over repeats in which they take turns."""
    durations: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = now()
            given = function()
            elapsed = now() - start
            durations[name].append(given if isinstance(given, float) else elapsed)
    return {name: median(values) for name, values in durations.items()}


def matrix_rate(device: str = "cpu", size: int = 2048) -> float:
    """Return the rate of fp32 matrix products in FLOP/s."""
    a, b = torch.randn(2, size, size, device=device)
    seconds = in_turns({"product": lambda: (a @ b, None)[1]}, 11)["product"]
    return 2 * size**3 / seconds


def prediction_batch(network: nn.Module) -> int:
    """Return on how many rows at a time the package calls a network to predict."""
    convolves = any(isinstance(layer, nn.Conv1d) for layer in network.modules())
    return 128 if convolves else 1024


def memory_added(function: Callable[[], object]) -> int:
    """Return by how many bytes a call raises the peak of this process above its size (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    function()
    return _status("VmHWM") - before


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def under_limit(limit: int, added: int) -> float:
    """Return a limit over the bytes that a call added: 2 at most, as less is noise."""
    return limit / max(added, limit / 2)


def report(benchmark: str, ratios: list[Ratio], args: argparse.Namespace) -> None:
    """Print the ratios, and save them or compare them with what is committed."""
    form = "short" if args.short else "full"
    if getattr(args, "device", "cpu") != "cpu":
        form += f", {args.device}"
    path = RESULTS / "speed.json"
    committed = json.loads(path.read_text()) if path.exists() else {}
    of_form = committed.setdefault(form, {}).get(benchmark, {}).get("ratios", {})
    failed = []
    for name, value, goal in ratios:
        figure = None if args.save else of_form.get(name)
        wanted = [("goal", goal), ("committed", figure)]
        told = [(word, least) for word, least in wanted if least is not None]
        print(f"{name:58s} {value:7.2f}", *(f"  {word} {least:.2f}" for word, least in told))
        known_miss = None not in (figure, goal) and figure < goal
        least = figure if known_miss else max((least for _, least in told), default=0)
        failed += [name] * (value < TOLERANCE * least)
    if args.save:
        committed[form][benchmark] = {
            "date": datetime.date.today().isoformat(),
            "machine": _machine(args),
            "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
            "ratios": {name: round(value, 3) for name, value, _ in ratios},
            "goals": {name: goal for name, _, goal in ratios if goal is not None},
        }
        path.write_text(json.dumps(committed, indent=1) + "\n")
        (RESULTS / "speed.md").write_text(_markdown(committed))
    elif failed:
        sys.exit(f"Under {TOLERANCE:.0%} of goal or committed figure: {', '.join(failed)}")


def _machine(args: argparse.Namespace) -> str:
    on_gpu = getattr(args, "device", "cpu") != "cpu"
    device = torch.cuda.get_device_name() if on_gpu else f"{torch.get_num_threads()} threads"
    return f"{platform.machine()}, {device}, torch {torch.__version__}"


def _markdown(committed: dict) -> str:
    lines = [
        "# Speed",
        "",
        "Ratios measured in one run, medians of alternating repeats; larger is better. Written by",
        "the benchmarks' `--save`; `make bench` runs the short forms and fails where a ratio falls",
        f"under {TOLERANCE:.0%} of its goal or of its figure here; of a goal that its figure here",
        "misses, only the figure counts. The matrix-product rate is that of PyTorch's `a @ b`,",
        "which oneDNN exceeds on AMD's CPUs for wide linear layers. What ran on a GPU says so.",
        "*ours* is this package; training and predict are of the paper's wide networks, default of",
        "what the estimators are without arguments. *The bound* is what sharing the teachers of a",
        "search could save at most.",
    ]
    for form, benchmarks in committed.items():
        for name, run in benchmarks.items():
            lines += ["", f"## {name}, {form}", ""]
            lines += [f"{run['date']}, {run['machine']}: `{run['command']}`", ""]
            lines += ["| | ratio | goal |", "|---|---|---|"]
            for ratio, value in run["ratios"].items():
                goal = run["goals"].get(ratio)
                lines.append(f"| {ratio} | {value:.2f} | {'' if goal is None else f'{goal:g}'} |")
    return "\n".join(lines) + "\n"
