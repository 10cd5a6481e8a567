#!/usr/bin/env bash
# Builds, tags and pushes the image of img2img. Needs Docker (or DOCKER=podman) and, to push, to be
# logged in to the registry.
set -euo pipefail

usage='Usage: build.sh [--registry R] [--cuda] [--root] [--tag T] [--push] [--dry-run]
  --registry R  the image is R/img2img:TAG, such as registry.example.com/team
  --cuda        torch with CUDA; left out: for CPUs
  --root        runs as root: only for a SageMaker account whose folders are root'"'"'s alone
  --tag T       left out: the version and the device, such as 0.1.0-cpu
  --push        push it to the registry
  --dry-run     print the commands and run none'

fail() {
    printf 'build.sh: %s\n%s\n' "$1" "$usage" >&2
    exit 2
}

registry='' device=cpu run_as=1000 tag='' push=false dry_run=false
while [ $# -gt 0 ]; do
    case $1 in
        --registry | --tag)
            [ $# -ge 2 ] && [ -n "$2" ] || fail "$1 needs a value"
            if [ "$1" = --tag ]; then tag=$2; else registry=${2%/}; fi
            shift
            ;;
        --cuda) device=cuda ;;
        --root) run_as=0 ;;
        --push) push=true ;;
        --dry-run) dry_run=true ;;
        -h | --help) echo "$usage" && exit 0 ;;
        *) fail "unknown argument $1" ;;
    esac
    shift
done
if $push && [ -z "$registry" ]; then fail '--push needs --registry'; fi

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$repository/img2img/__init__.py")
image=${registry:+$registry/}img2img:${tag:-$version-$device}
docker=${DOCKER:-docker}

run() {
    if $dry_run; then
        printf -v line '%q ' "$@"
        echo "${line% }"
    else
        "$@"
    fi
}

run "$docker" build --file "$here/Dockerfile" --build-arg "DEVICE=$device" \
    --build-arg "RUN_AS=$run_as" --tag "$image" "$repository"
if $push; then run "$docker" push "$image"; fi
echo "$image"
