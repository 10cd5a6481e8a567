#!/usr/bin/env bash
# The cross-validations of docs/segmentation.md: unseen scenes, unseen moments, and a random division
# that shows what leakage would claim. A training takes about ten minutes on two CPU cores; a
# measured fold is not trained again, so that the command can be stopped and repeated.
# Usage: crossvalidate_segmentation.sh FOLDER [OUT] [img2img options, such as --fold 2]
set -euo pipefail

data=$1
shift
out=runs/crossval-segmentation
if [[ ${1:---} != -* ]]; then
    out=$1
    shift
fi

validate() {
    img2img crossval segmentation --data "$data" --image-size 256 --batch-size 8 --lr 1e-3 \
        --steps "${STEPS:-1000}" --set augment.crop=0.625 --set train.frozen_stages=2 "$@"
}

validate --folds 6 --out "$out/scenes" "$@"
validate --folds 3 --set data.groups=moments --out "$out/moments" "$@"
validate --folds 3 --set data.groups=none --fold 0 --out "$out/random" "$@"
