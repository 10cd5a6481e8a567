"""The figures of shipped keypoints, set by set, over held-out faces of which nothing alike was
learned from: in-the-wild sets show one poster in several photos.

Usage: unseen_faces.py DATA PICTURES.jsonl, after
`img2img eval keypoints --data DATA --split test --out DIR` has written DIR/pictures.jsonl.
"""

import json
import sys
from pathlib import Path

import numpy as np

from img2img.cli.measuring import division
from img2img.config import DataOptions
from img2img.data.face_groups import united_by_faces
from img2img.data.formats.point_formats import find_points
from img2img.data.formats.points import point_splits
from img2img.inference.session import open_session
from img2img.inference.weights import find_weights
from img2img.vision.metrics import percentile_intervals
from img2img.vision.schemas import IBUG68


def main(data: str, pictures: str) -> None:
    """Prints a row a set."""
    card = open_session(find_weights(None, "keypoints")).card
    splits = point_splits(find_points(Path(data)), DataOptions(**division(card)), IBUG68)
    whole = splits.whole
    part_of = {r.id: part for part, samples in splits.parts.items() for r in samples.records}
    united = united_by_faces(whole, IBUG68, [record.group for record in whole.records])
    learned = {
        group for record, group in zip(whole.records, united, strict=True)
        if part_of[record.id] != "test"
    }  # fmt: skip
    unseen = {
        record.id: record.group for record, group in zip(whole.records, united, strict=True)
        if part_of[record.id] == "test" and group not in learned
    }  # fmt: skip
    rows = [json.loads(line) for line in Path(pictures).read_text().splitlines()]
    print("| held out | faces found | recall | their NME | 95 % interval | above 8 % |")
    print("|---|---|---|---|---|---|")
    for name in sorted({row["id"].partition("/")[0] for row in rows}):
        chosen = [r for r in rows if r["id"].startswith(f"{name}/") and r["id"] in unseen]
        recall = np.mean([row["metrics"]["recall"] for row in chosen])
        chosen = [row for row in chosen if row["metrics"]["recall"]]
        nme = np.array([row["metrics"]["nme"] for row in chosen], np.float64)
        low, high = percentile_intervals(
            {"nme": nme}, [unseen[row["id"]] for row in chosen],
            lambda columns, weights: {"nme": float(weights @ columns["nme"] / weights.sum())},
        )["nme"]  # fmt: skip
        print(f"| {name} | {len(nme)} | {recall:.3f} | {nme.mean():.4f} | {low:.4f} … {high:.4f} "
              f"| {(nme > 0.08).mean():.3f} |")  # fmt: skip


main(*sys.argv[1:])
