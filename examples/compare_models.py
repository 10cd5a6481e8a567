"""Four networks learn the same image filters from the same photos, each in the same time: a table
and a grid of their answers. What is done already is not done again; a training that was cut off
begins anew, because its time is in the table.

Usage: compare_models.py PHOTOS [OUT] [--time 5m]; PHOTOS has train/ and val/, val/ is measured.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from img2img.data.images import is_picture, read, write
from img2img.data.sample import Image, Sample
from img2img.engine.run import write_json
from img2img.inference.predictor import Predictor
from img2img.inference.session import open_session, task_of
from img2img.inference.weights import find_weights
from img2img.report.draw import grid, label, to_rgb

FILTERS = ("sobel", "random:1", "random:2")
# pix2pix: half the published width, a quarter for its opponent, mirrored borders, a higher rate,
# and no dropout (an exact answer leaves nothing to vary); as published: --model pix2pix alone.
MODELS = {
    "filternet": [],
    "autoencoder": ["--batch-size", "8", "--set", "train.ema=0.99"],
    "unet": [
        "--batch-size", "8", "--set", "train.ema=0.99", "--set", "model.width=8",
        "--set", "model.depth=3",
    ],
    "pix2pix": [
        "--batch-size", "8", "--set", "train.ema=0.99", "--lr", "1e-3",
        "--set", "model.width=32", "--set", "model.padding=reflect", "--set", "model.dropout=0",
        "--set", "adversarial.width=16",
    ],
}  # fmt: skip
FIGURES = ("psnr", "ssim", "border_psnr", "border_ssim")
SIZE = 128


def main() -> None:
    """Trains what is missing, and writes the table and the grid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path, nargs="?", default=Path("runs/compare-models"))
    parser.add_argument("--time", default="5m", help="time of each training")
    parser.add_argument("--filters", default=",".join(FILTERS), help="names, with commas between")
    given = parser.parse_args()
    image = shown(given.photos / "val")
    given.out.mkdir(parents=True, exist_ok=True)
    rows, pictures = [], []
    for name in given.filters.split(","):
        answers = [label(image, "picture")]
        for model, options in MODELS.items():
            run = given.out / f"{name.replace(':', '-')}-{model}"
            facts = learned(run, given.photos, name, model, options, given.time)
            rows.append((name, model, facts))
            answer, truth = answered(run, image)
            if model == "filternet":
                answers.append(label(to_rgb(truth), name))
            answers.append(label(to_rgb(answer), model))
        pictures += answers
    write(given.out / "answers.png", grid(pictures, 2 + len(MODELS)))
    table = as_markdown(rows)
    (given.out / "table.md").write_text(table, encoding="utf-8")
    print(table)


def learned(
    run: Path, photos: Path, name: str, model: str, options: list[str], limit: str
) -> dict[str, Any]:
    """Trains and measures a network, and says what that gave and took."""
    done, trained = (run.with_name(f"{run.name}{end}") for end in (".json", "-training.json"))
    if done.is_file():
        return read_facts(done)
    if not trained.is_file():
        shutil.rmtree(run, ignore_errors=True)
        train = ["train", "sobel", "--data", str(photos), "--model", model, "--out", str(run),
                 "--set", f"task.filter={name}", "--image-size", str(SIZE), "--max-time", limit,
                 "--set", "train.epochs=none", "--epoch-size", "800", "--seed", "0",
                 "--set", "train.val_samples=16", "--quiet", *options]  # fmt: skip
        write_json(trained, img2img(train))
    figures = run.with_name(f"{run.name}-figures.json")
    img2img(["eval", "sobel", "--weights", str(run), "--data", str(photos / "val"), "--split",
             "all", "--json", str(figures), "--quiet"])  # fmt: skip
    measured = read_facts(figures)["metrics"]
    facts = {key: measured[key]["value"] for key in FIGURES}
    write_json(done, facts | read_facts(trained) | speed(run))
    return read_facts(done)


def read_facts(file: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return facts


def img2img(arguments: list[str]) -> dict[str, float]:
    """Runs a command; seconds by the clock, seconds of CPU and its greatest memory in MiB."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "img2img", *arguments])
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"img2img {' '.join(arguments)} failed")
    return {
        "seconds": time.perf_counter() - started,
        "cpu_s": used.ru_utime + used.ru_stime,
        "memory_mib": used.ru_maxrss / 1024,
    }


def speed(run: Path) -> dict[str, float]:
    """Parameters, and milliseconds for a square, the least of ten."""
    info = subprocess.run(
        [sys.executable, "-m", "img2img", "info", str(run), "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    session = open_session(find_weights(str(run), "sobel"))
    square = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    times = []
    for _ in range(10):
        started = time.perf_counter()
        session(square)
        times.append(time.perf_counter() - started)
    return {"parameters": json.loads(info.stdout)["parameters"], "ms": 1e3 * min(times)}


def answered(run: Path, image: Image) -> tuple[Image, Image]:
    """The network's answer to a picture, and the filter's."""
    session = open_session(find_weights(str(run), "sobel"))
    task = task_of(session.card, "sobel")
    answer = Predictor(task, session, outputs=task.result_outputs).run(image)
    truth = task.truth(Sample(id="", group="", image=image))
    return task.picture(answer), task.picture(truth)


def shown(folder: Path) -> Image:
    """The middle of the first photo that is large enough; the others are measured all the same."""
    if not folder.is_dir():
        sys.exit(f"{folder} is no folder: PHOTOS needs train/ and val/.")
    photos = [path for path in sorted(folder.iterdir()) if is_picture(path)]
    large = [path for path in photos if min(read(path).shape[:2]) >= SIZE]
    if not large:
        sys.exit(f"none of the {len(photos)} photos in {folder} has {SIZE} pixels a side.")
    if len(large) < len(photos):
        n_small = len(photos) - len(large)
        print(f"{n_small} of {len(photos)} photos in {folder} are smaller than {SIZE} pixels a "
              "side: they are measured, but not shown", file=sys.stderr)  # fmt: skip
    return middle(read(large[0]))


def middle(image: Image) -> Image:
    """The square in the middle."""
    top, left = ((side - SIZE) // 2 for side in image.shape[:2])
    return image[top : top + SIZE, left : left + SIZE]


def as_markdown(rows: list[tuple[str, str, dict[str, Any]]]) -> str:
    """The table."""
    head = ["filter", "model", "parameters", "PSNR, dB", "SSIM", "border PSNR, dB", "border SSIM",
            "training, s (CPU)", "memory, MiB", "answer, ms"]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, model, facts in rows:
        cells = [
            name, f"`{model}`", f"{facts['parameters']:,}", f"{facts['psnr']:.1f}",
            f"{facts['ssim']:.3f}", f"{facts['border_psnr']:.1f}", f"{facts['border_ssim']:.3f}",
            f"{facts['seconds']:.0f} ({facts['cpu_s']:.0f})", f"{facts['memory_mib']:.0f}",
            f"{facts['ms']:.1f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
