#!/usr/bin/env bash
# Every way of learning points beside the others, on one subset of labelled faces (FOLDER with lfpw/
# and ytf/; 300 and 600 of them, people kept apart), each at most TIME of training at 96²: a
# comparison, not a record. A trained or measured way is not trained again. IMM names a folder of .asf
# faces, on which 58 points are learned by the small CNN. Milliseconds are those of the network alone,
# one crop on one thread of ONNX Runtime: to order the points of shared heatmaps takes far longer.
# Usage: compare_keypoints.sh FOLDER [OUT]
set -euo pipefail

data=$1
out=${2:-runs/compare-keypoints}
mkdir -p "$out"

python - "$data" "$out/faces" <<'PYTHON'
import csv, random, shutil, sys
from pathlib import Path

from img2img.config import DataOptions
from img2img.data.formats.point_formats import find_points
from img2img.data.formats.points import point_splits
from img2img.vision.schemas import IBUG68

source, target = Path(sys.argv[1]), Path(sys.argv[2])
if target.is_dir():
    sys.exit()
beside = target.with_name(f".{target.name}.part")  # whole or not at all
shutil.rmtree(beside, ignore_errors=True)
splits = point_splits(find_points(source), DataOptions(val_share=0.1, test_share=0.2), IBUG68)
shares = {"train": 0.7, "val": 0.1, "test": 0.2}
for part, share in shares.items():
    samples = splits.parts[part]
    for name, n in (("lfpw", 300), ("ytf", 600)):
        records = [r for r in samples.records if r.id.startswith(f"{name}/")]
        chosen = random.Random(0).sample(records, min(len(records), round(n * share)))
        folder = beside / part / name
        (folder / "images").mkdir(parents=True)
        with (folder / "keypoints.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            for record in chosen:
                face = samples.faces[record.id]
                shutil.copyfile(face.picture, folder / "images" / face.picture.name)
                table.writerow([face.picture.name, *face.points.ravel().tolist()])
beside.rename(target)
print(f"{target}: 300 lfpw and 600 ytf faces, divided by person")
PYTHON

learn() { # NAME OPTIONS...
    learn_from "$out/faces" "$@"
}

learn_from() { # DATA NAME OPTIONS...
    local data=$1 name=$2
    shift 2
    # best.onnx is what a training writes last; best/ is there from its first validation on.
    if [[ ! -f $out/$name/best.onnx ]]; then
        img2img train keypoints --data "$data" --out "$out/$name" --image-size 96 \
            --max-time "${TIME:-4m}" --seed 0 --set train.val_samples=16 --quiet "$@"
    fi
    if [[ ! -f $out/$name.json ]]; then
        img2img eval keypoints --weights "$out/$name" --data "$data" --split test \
            --json "$out/$name.json"
    fi
}

for loss in mse bce kl awing softargmax; do
    learn "heatmaps-$loss" --set task.loss=$loss
done
for loss in mse bce; do
    learn "mixture-$loss" --set task.way=mixture --set task.loss=$loss
done
learn groups --set task.way=groups
for loss in l1 mse; do
    learn "nose-$loss" --model regressor --set task.schema=nose --set task.way=coordinates \
        --set task.loss=$loss --lr 1e-3
done
learn cnn --model regressor --set task.way=coordinates --lr 1e-3
if [[ -n ${IMM:-} ]]; then
    learn_from "$IMM" cnn-imm58 --model regressor --set task.way=coordinates --lr 1e-3
fi
for loss in l1 mse wing; do
    learn "resnet18-$loss" --model regressor:resnet18 --set task.way=coordinates \
        --set task.loss=$loss --lr 1e-3
done
for stages in 2 4; do
    learn "lite0-frozen-$stages" --model regressor:tu-tf_efficientnet_lite0 \
        --set task.way=coordinates --set train.frozen_stages=$stages --lr 1e-3
done
learn pca-12 --model regressor:resnet18 --set task.way=shape --set task.components=12 --lr 1e-3
learn pca-95 --model regressor:resnet18 --set task.way=shape --set task.components=136 \
    --set task.explained=0.95 --lr 1e-3

python - "$out" <<'PYTHON'
import json, math, statistics, sys, time
from pathlib import Path

import numpy as np
import onnxruntime
from safetensors import safe_open

from img2img.vision.schemas import schema_of


def shapes(folder):
    with safe_open(folder / "checkpoint.safetensors", framework="np") as file:
        return [file.get_slice(k).get_shape() for k in file.keys() if k.startswith("network.")]


def milliseconds(weights, size):
    """The median of 20 crops, one at a time."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    crop = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8)
    taken = []
    for _ in range(23):
        start = time.perf_counter()
        session.run(None, {"input": crop})
        taken.append(time.perf_counter() - start)
    return 1000 * statistics.median(taken[3:])


print("| way | NME | 95 % interval | over | above 10 % | parameters (M) | ms a crop | steps |")
print("|---|---|---|---|---|---|---|---|")
for path in sorted(Path(sys.argv[1]).glob("*.json")):
    metrics = json.loads(path.read_text())["metrics"]
    rows = [json.loads(line) for line in (path.with_suffix("") / "metrics.jsonl").open()]
    steps = max(row.get("step", 0) for row in rows)
    n = sum(math.prod(shape) for shape in shapes(path.with_suffix("") / "best"))
    task = json.loads((path.with_suffix("") / "config.json").read_text())["options"]["task"]
    over = schema_of(task["schema"]).normaliser.replace("_", " ")
    ms = milliseconds(path.with_suffix("") / "best.onnx", task["image_size"])
    nme = metrics["nme"]
    print(
        f"| {path.stem} | {nme['value']:.4f} | {nme['low']:.4f} … {nme['high']:.4f} | {over} "
        f"| {metrics['fail10']['value']:.3f} | {n / 1e6:.2f} | {ms:.1f} | {steps} |"
    )
PYTHON
