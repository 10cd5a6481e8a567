#!/usr/bin/env bash
# What depth costs: U-Nets of 1 to 4 halvings learn a filter that looks 15 pixels far (a Gaussian blur
# of 31×31), TIME each, on generated textures; PSNR on unseen ones.
# Usage: depth.sh [OUT]
set -euo pipefail

out=${1:-runs/depth}
mkdir -p "$out"
for depth in 1 2 3 4; do
    run=$out/$depth
    if [[ ! -f $run/best.onnx ]]; then
        img2img train sobel --model unet --set model.width=8 --set model.depth=$depth --out "$run" \
            --set task.filter=gaussian --set task.kernel_size=31 --image-size 96 --batch-size 8 \
            --seed 0 --set train.epochs=none --max-time "${TIME:-45s}" --quiet
    fi
    img2img eval sobel --weights "$run" --json "$out/$depth.json" --quiet > "$out/$depth.txt"
    img2img info "$run" --json > "$out/$depth-info.json"
done
python - "$out" <<'PYTHON'
import json, sys
from pathlib import Path

out = Path(sys.argv[1])
print("| halvings | parameters | sees so far, pixels | PSNR, dB |")
print("|---|---|---|---|")
for depth in range(1, 5):
    info = json.loads((out / f"{depth}-info.json").read_text(encoding="utf-8"))
    psnr = json.loads((out / f"{depth}.json").read_text(encoding="utf-8"))["metrics"]["psnr"]
    print(f"| {depth} | {info['parameters']:,} | {info['halo_px']} | "
          f"{psnr['value']:.1f} ({psnr['low']:.1f} … {psnr['high']:.1f}) |")
PYTHON
