#!/usr/bin/env bash
# What generated kitchens teach about real ones: the built-in training (no --data), measured on real
# pictures with masks (FOLDER); then the same without each part of the generator. About five minutes a
# training on two CPU cores; a measured one is not trained again.
# Usage: kitchens_alone.sh FOLDER [OUT]
set -euo pipefail

data=$1
out=${2:-runs/kitchens-alone}
mkdir -p "$out"

learn() { # NAME OPTIONS...
    local name=$1
    shift
    [[ -f $out/$name.json ]] && return
    img2img train segmentation --out "$out/$name" --quiet "$@"
    img2img eval segmentation --weights "$out/$name" --data "$data" --split all \
        --json "$out/$name.json" --no-baselines
}

learn all
for part in ${PARTS:-shell peeled fried pans handles aslant hosts hands clutter decoys surroundings shadows camera}; do
    learn "without-$part" --set task.kitchens_without="$part"
done

python - "$out" <<'PYTHON'
import json, sys
from pathlib import Path

print("| kitchens | mean IoU on real pictures | 95 % interval | egg | pan |")
print("|---|---|---|---|---|")
for path in sorted(Path(sys.argv[1]).glob("*.json")):
    m = json.loads(path.read_text())["metrics"]
    miou = m["miou"]
    print(
        f"| {path.stem} | {miou['value']:.3f} | {miou['low']:.3f} … {miou['high']:.3f} "
        f"| {m['iou_egg']['value']:.3f} | {m['iou_pan']['value']:.3f} |"
    )
PYTHON
