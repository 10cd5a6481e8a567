"""Regions of a picture from a Segment Anything network that the user has on disk.

Source: Kirillov et al.: Segment Anything, ICCV 2023; masks of everything as in its appendix B.
"""

import dataclasses
import json
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from img2img.data.sample import Image
from img2img.data.view import View
from img2img.errors import UsageError, WeightsError
from img2img.inference.labelling import Segmenter
from img2img.vision.clusters import Features, Labels

if TYPE_CHECKING:
    from torch import Tensor

_NEXT = (
    "give the folder of a SamModel as transformers saves it, such as the one that "
    "`hf download facebook/sam-vit-base --local-dir sam` fetches"
)
# ImageNet's, of levels 0…1, with which every published network of this kind was trained.
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)
_MASK_CELLS = 4
"""Cells of a mask beside each other in a cell of the features: the decoder enlarges them twice."""
_FINER = 2
"""Regions are so many times finer than the network's masks, which interpolate well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompting:
    """How masks are asked for and which are kept: `n_side` × `n_side` points, `batch_size` at a
    time; masks whose overlap (IoU) with the truth the network puts at `least_iou` or more, and
    which hardly change (IoU `least_stability`) between the logits 1 and -1; of two whose boxes
    overlap (IoU) by more than `most_overlap`, the better one.

    The paper has 32 points a side; 16 take a quarter of the time and miss what is smaller than a
    sixteenth of the picture's side.
    """

    n_side: int = 16
    least_iou: float = 0.88
    least_stability: float = 0.95
    most_overlap: float = 0.7
    batch_size: int = 32


def by_sam(folder: str | None, prompting: Prompting, *, device: str = "auto") -> Segmenter:
    """Regions from the masks of a Segment Anything network; they are compared by its features of
    the picture, each scaled to unit length. Nothing is downloaded.

    Where masks overlap, the smallest is the region; what is in none is region 0.

    Args:
        folder: what `save_pretrained` of transformers' `SamModel` wrote.
        prompting: how masks are asked for.
        device: auto (the first CUDA device, else the CPU), cpu, cuda or cuda:N.

    Raises:
        UsageError: no folder is given, transformers is not installed, or no such device.
        WeightsError: the folder is missing, foreign or damaged.
    """
    network = _open(folder)
    from img2img.inference.torch_session import pick_device

    network.to(pick_device(device))

    def segment(image: Image) -> tuple[Labels, Features]:
        import torch

        with torch.inference_mode():
            return _segment(network, image, prompting)

    return segment


def grid_points(n_side: int, rows: int, columns: int) -> NDArray[np.float32]:
    """(n_side², 2): x, y of the centres of equal tiles of a picture, pixel centres at integers."""
    steps = (np.arange(n_side) + 0.5) / n_side
    x, y = np.meshgrid(steps * columns - 0.5, steps * rows - 0.5)
    return np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float32)


def good_masks(logits: "Tensor", scores: "Tensor", prompting: Prompting) -> "Tensor":
    """(N,) bool: which masks (N, h, w) with estimated scores (N,) are sure, stable and neither
    empty nor everything."""
    inner, outer = ((logits > level).sum(dim=(1, 2)) for level in (1, -1))
    areas = (logits > 0).sum(dim=(1, 2))
    stable = inner >= prompting.least_stability * outer
    shown = (areas > 0) & (areas < logits.shape[1] * logits.shape[2])
    good: Tensor = (scores >= prompting.least_iou) & stable & shown
    return good


def without_doubles(logits: "Tensor", scores: "Tensor", most_overlap: float) -> "Tensor":
    """(M,) indices of masks (N, h, w) left by non-maximum suppression of their boxes."""
    from torchvision.ops import masks_to_boxes, nms

    boxes = masks_to_boxes(logits > 0)
    boxes[:, 2:] += 1  # from the last pixel to the edge, or a line would have no area
    kept: Tensor = nms(boxes, scores, most_overlap)
    return kept


def _segment(network: Any, image: Image, prompting: Prompting) -> tuple[Labels, Features]:
    canvas, view = _canvas(image, network.config.vision_config.image_size)
    features = network.get_image_embeddings(canvas.to(network.device))
    logits = _masks(network, features, view, prompting)
    rows, columns = _inner(image, logits.shape[-1])
    regions = np.zeros((rows, columns), np.int32)
    masks = (logits > 0)[:, :rows, :columns]
    for number, index in enumerate(masks.sum(dim=(1, 2)).argsort(descending=True), start=1):
        regions[masks[index].cpu().numpy()] = number
    rows, columns = _inner(image, features.shape[-1])
    unit = features / features.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return regions, unit[0, :, :rows, :columns].permute(1, 2, 0).cpu().numpy()


def _canvas(image: Image, side: int) -> "tuple[Tensor, View]":
    """The picture in the upper left of a canvas (1, 3, side, side), normalised, zeros beside it."""
    import torch

    height, width = image.shape[:2]
    view = dataclasses.replace(View.letterbox(height, width, side), top=0, left=0)
    rows, columns = view.inner
    canvas = np.zeros((side, side, 3), np.float32)
    inner = view.apply(image)[:rows, :columns].astype(np.float32) / 255
    canvas[:rows, :columns] = (inner - _MEAN) / _STD
    return torch.from_numpy(canvas).permute(2, 0, 1)[None], view


def _inner(image: Image, side: int) -> tuple[int, int]:
    """Rows and columns that the picture covers on a canvas of that side."""
    height, width = image.shape[:2]
    return View.letterbox(height, width, side).inner


def _masks(network: Any, features: "Tensor", view: View, prompting: Prompting) -> "Tensor":
    """(N, s, s) logits of the masks that are kept, of the whole canvas."""
    import torch
    from torch.nn import functional as F

    points = torch.from_numpy(grid_points(prompting.n_side, *view.inner)).to(network.device)
    side = _MASK_CELLS * features.shape[-1]
    rows, columns = View.letterbox(view.height, view.width, side).inner
    kept, kept_scores = [], []
    for batch in points.split(prompting.batch_size):
        prompts = batch[None, :, None]  # (pictures, masks, points of a mask, x and y)
        labels = torch.ones(prompts.shape[:3], dtype=torch.long, device=network.device)
        answer = network(
            image_embeddings=features, input_points=prompts, input_labels=labels,
            multimask_output=True,
        )  # fmt: skip
        logits, scores = answer.pred_masks[0].flatten(0, 1), answer.iou_scores[0].flatten()
        good = good_masks(logits[:, :rows, :columns], scores, prompting)
        kept.append(logits[good])
        kept_scores.append(scores[good])
    logits, scores = torch.cat(kept), torch.cat(kept_scores)
    logits = logits[without_doubles(logits[:, :rows, :columns], scores, prompting.most_overlap)]
    size = (_FINER * side, _FINER * side)
    return F.interpolate(logits[:, None], size, mode="bilinear")[:, 0]


def _open(folder: str | None) -> Any:
    if folder is None:
        raise UsageError(f"--method sam needs --weights: {_NEXT}.")
    kind = _model_type(Path(folder))
    if kind != "sam":
        raise WeightsError(f"--weights {folder} is of the type {kind!r}, not 'sam': {_NEXT}.")
    try:
        model: Any = import_module("transformers").SamModel
        logging: Any = import_module("transformers.utils.logging")
    except ImportError:
        raise UsageError("--method sam needs an extra: pip install 'img2img[sam]'.") from None
    from safetensors import SafetensorError

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        network, told = model.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError,
            SafetensorError) as error:  # fmt: skip
        first = str(error).strip().partition("\n")[0].rstrip(".")
        raise WeightsError(f"--weights {folder} cannot be read ({first}): {_NEXT}.") from None
    if lacking := sorted(told["missing_keys"]):
        raise WeightsError(f"--weights {folder} lack {lacking[0]!r}: {_NEXT}.")
    return network.float().eval()


def _model_type(folder: Path) -> str | None:
    """What the folder's `config.json` says that it holds."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except OSError as error:
        raise WeightsError(
            f"--weights {folder} holds no readable config.json ({error.strerror}): {_NEXT}."
        ) from None
    except ValueError:
        raise WeightsError(f"{folder / 'config.json'} is no JSON: {_NEXT}.") from None
    return config.get("model_type") if isinstance(config, dict) else None
