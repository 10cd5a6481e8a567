#!/usr/bin/env bash
# Segmentation from 32 labelled pictures, alone, with the others as pictures without labels, and with a
# discriminator of masks that chooses among their pixels; all are measured on the same scenes, which none has seen.
# FOLDER has images/, masks/ and groups.csv (column group).
# Usage: few_labels.sh FOLDER [OUT]
set -euo pipefail

data=$1
out=${2:-runs/few-labels}

python - "$data" "$out" <<'PYTHON'
import csv, random, shutil, sys
from pathlib import Path

data, out = map(Path, sys.argv[1:])
rows = list(csv.DictReader((data / "groups.csv").open(encoding="utf-8")))
sizes = {}
for row in rows:
    sizes[row["group"]] = sizes.get(row["group"], 0) + 1
held_out = sorted(sizes, key=lambda group: (-sizes[group], group))[1::3]  # a third of the scenes
seen = [row for row in rows if row["group"] not in held_out]
labelled = random.Random(0).sample(seen, 32)
parts = {"few/train": labelled, "few/test": [r for r in rows if r["group"] in held_out]}
for name, chosen in parts.items():
    for row in chosen:
        for kind in ("image", "mask"):
            to = out / name / f"{kind}s" / row[kind]
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(data / f"{kind}s" / row[kind], to)
    with (out / name / "groups.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["image", "mask", "group"], extrasaction="ignore")
        table.writeheader()
        table.writerows(chosen)
bare = out / "bare"
bare.mkdir(parents=True, exist_ok=True)
for row in seen:
    if row not in labelled:
        shutil.copyfile(data / "images" / row["image"], bare / row["image"])
print(f"held out: {', '.join(held_out)}; 32 labelled, {len(seen) - 32} without labels")
PYTHON

learn() { # NAME OPTIONS...
    local name=$1
    shift
    img2img train segmentation --data "$out/few" --out "$out/$name" --image-size 256 --batch-size 8 \
        --lr 1e-3 --steps "${STEPS:-1000}" --epoch-size 800 --set train.val_samples=16 --set augment.crop=0.625 --set train.frozen_stages=2 "$@"
    img2img eval segmentation --weights "$out/$name" --data "$out/few" --split test
}

learn labelled
learn pseudo --pseudo "$out/bare"
# In the place of the averaged network's own confidence, a discriminator of masks.
learn adversarial --pseudo "$out/bare" --set semi.adversarial=0.01
