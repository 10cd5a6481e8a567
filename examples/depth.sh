#!/usr/bin/env bash
# What depth buys: U-Nets of 1 to 5 halvings, each the same steps on the same generated kitchens, where
# an egg must be told from a plate by what is around it; mean IoU on 128 unseen ones.
# Usage: depth.sh [OUT]
set -euo pipefail

out=${1:-runs/depth}
mkdir -p "$out"
for depth in 1 2 3 4 5; do
    run=$out/$depth
    if [[ ! -f $run/best.onnx ]]; then
        img2img train segmentation --model unet --set model.width=16 --set model.depth=$depth --out "$run" \
            --steps "${STEPS:-400}" --batch-size 8 --image-size 128 --set data.n_generated=1024 \
            --set train.val_samples=16 --seed 0 --quiet
    fi
    img2img eval segmentation --weights "$run" --json "$out/$depth.json" --quiet
    img2img info "$run" --json > "$out/$depth-info.json"
done
python - "$out" <<'PYTHON'
import json, sys
from pathlib import Path

out = Path(sys.argv[1])
print("| halvings | parameters | sees, pixels | mean IoU | egg | pan |")
print("|---|---|---|---|---|---|")
for depth in range(1, 6):
    info = json.loads((out / f"{depth}-info.json").read_text(encoding="utf-8"))
    figures = json.loads((out / f"{depth}.json").read_text(encoding="utf-8"))["metrics"]
    cells = [figures[name] for name in ("miou", "iou_egg", "iou_pan")]
    whole = f"{cells[0]['value']:.3f} ({cells[0]['low']:.3f} … {cells[0]['high']:.3f})"
    reach = 2 * info["halo"] + 1 if info.get("halo") else "all"
    print(f"| {depth} | {info['parameters']:,} | {reach} | {whole} | "
          f"{cells[1]['value']:.3f} | {cells[2]['value']:.3f} |")
PYTHON
