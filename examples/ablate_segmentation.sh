#!/usr/bin/env bash
# What each part of the recipe for segmentation buys on two scenes that the network never saw: folds 0
# and 1 of six, by default. Ten trainings of about ten minutes each on two CPU cores; a measured one
# is not trained again.
# Usage: ablate_segmentation.sh FOLDER [OUT]
set -euo pipefail

data=$1
out=${2:-runs/ablation-segmentation}

try() { # NAME OPTIONS...
    local name=$1
    shift
    for fold in ${FOLDS:-0 1}; do
        img2img crossval segmentation --data "$data" --folds 6 --fold "$fold" --out "$out/$name" \
            --image-size 256 --batch-size 8 --lr 1e-3 --steps "${STEPS:-1000}" \
            --set augment.crop=0.625 --set train.frozen_stages=2 "$@"
    done
}

try recipe
try no-pretraining --set model.encoder_weights=none --set train.frozen_stages=0
try no-augmentation --set augment.strength=0
try no-copy-paste --set augment.copy_paste=0
try kitchens --set task.kitchens=160
