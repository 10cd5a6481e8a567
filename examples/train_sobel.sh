#!/usr/bin/env bash
# Trains the Sobel weights that ship with the package: 154 parameters, from random initial values,
# on generated textures alone. Two CPU cores: about five minutes. Usage: train_sobel.sh [FOLDER]
set -euo pipefail

out=${1:-runs/sobel-shipped}

img2img train sobel --out "$out" --seed 0 --image-size 64 --epochs 10 \
    --set train.polish_steps=300 --set train.polish_samples=256
img2img export sobel --weights "$out" --out "$out/sobel.onnx"
img2img eval sobel --weights "$out/sobel.onnx" --json "$out/metrics.json"
echo "copy $out/sobel.onnx and $out/best/checkpoint.safetensors (as sobel.safetensors) to img2img/weights/"
