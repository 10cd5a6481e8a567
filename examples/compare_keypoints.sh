#!/usr/bin/env bash
# Every way of learning points beside the others, on one subset of labelled faces (FOLDER with lfpw/
# and ytf/; 300 and 600 of them, people kept apart), each at most TIME of training at 96²: a
# comparison, not a record. A measured way is not trained again. IMM names a folder of .asf faces, on
# which 58 points are learned by the small CNN.
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
splits = point_splits(find_points(source), DataOptions(val_share=0.1, test_share=0.2), IBUG68)
shares = {"train": 0.7, "val": 0.1, "test": 0.2}
for part, share in shares.items():
    samples = splits.parts[part]
    for name, n in (("lfpw", 300), ("ytf", 600)):
        records = [r for r in samples.records if r.id.startswith(f"{name}/")]
        chosen = random.Random(0).sample(records, min(len(records), round(n * share)))
        folder = target / part / name
        (folder / "images").mkdir(parents=True)
        with (folder / "keypoints.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            for record in chosen:
                face = samples.faces[record.id]
                shutil.copyfile(face.picture, folder / "images" / face.picture.name)
                table.writerow([face.picture.name, *face.points.ravel().tolist()])
print(f"{target}: 300 lfpw and 600 ytf faces, divided by person")
PYTHON

learn() { # NAME OPTIONS...
    local name=$1
    shift
    if [[ ! -f $out/$name.json ]]; then
        img2img train keypoints --data "$out/faces" --out "$out/$name" --image-size 96 \
            --max-time "${TIME:-4m}" --seed 0 --quiet "$@"
        img2img eval keypoints --weights "$out/$name" --data "$out/faces" --split test \
            --json "$out/$name.json"
    fi
}

for loss in mse bce kl awing softargmax; do
    learn "heatmaps-$loss" --set task.loss=$loss
done
for loss in mse bce; do
    learn "mixture-$loss" --set task.way=mixture --set task.loss=$loss --set task.stride=2
done
learn groups --set task.way=groups --set task.stride=2
for loss in l1 mse; do
    learn "nose-$loss" --model regressor --set task.schema=nose --set task.way=coordinates \
        --set task.loss=$loss --lr 1e-3
done
learn cnn --model regressor --set task.way=coordinates --lr 1e-3
if [[ -n ${IMM:-} && ! -f $out/cnn-imm58.json ]]; then
    img2img train keypoints --data "$IMM" --out "$out/cnn-imm58" --model regressor --lr 1e-3 \
        --image-size 96 --max-time "${TIME:-4m}" --set task.way=coordinates --quiet
    img2img eval keypoints --weights "$out/cnn-imm58" --data "$IMM" --split test \
        --json "$out/cnn-imm58.json"
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
import json, math, sys
from pathlib import Path

from safetensors import safe_open


def shapes(folder):
    with safe_open(folder / "checkpoint.safetensors", framework="np") as file:
        return [file.get_slice(k).get_shape() for k in file.keys() if k.startswith("network.")]


print("| way | NME | 95 % interval | failures at 10 % | parameters (M) | steps |")
print("|---|---|---|---|---|---|")
for path in sorted(Path(sys.argv[1]).glob("*.json")):
    metrics = json.loads(path.read_text())["metrics"]
    rows = [json.loads(line) for line in (path.with_suffix("") / "metrics.jsonl").open()]
    steps = max(row.get("step", 0) for row in rows)
    n = sum(math.prod(shape) for shape in shapes(path.with_suffix("") / "best"))
    nme = metrics["nme"]
    print(
        f"| {path.stem} | {nme['value']:.4f} | {nme['low']:.4f} … {nme['high']:.4f} "
        f"| {metrics['fail10']['value']:.3f} | {n / 1e6:.2f} | {steps} |"
    )
PYTHON
