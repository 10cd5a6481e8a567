"""What every registered task keeps to. A new task gets all of it for nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from img2img.config import Config, DataOptions, TaskOptions
from img2img.data.loader import stack
from img2img.data.sample import Sample
from img2img.engine.checkpoint import read_checkpoint, write_checkpoint
from img2img.engine.run import make_card, resolve
from img2img.engine.runtime import Runtime
from img2img.inference.evaluate import collect
from img2img.inference.export import export_onnx
from img2img.inference.predictor import Predictor
from img2img.inference.session import OnnxSession
from img2img.inference.torch_session import TorchSession, open_torch
from img2img.inference.weights import Card
from img2img.models.network import Network
from img2img.models.registry import build
from img2img.registry import load_task, task_names
from img2img.tasks.base import Task

torch.set_num_threads(1)

SIZE = 32
RUNTIME = Runtime(device=torch.device("cpu"))
HEAVY = ("torch", "torchvision", "torchmetrics", "albumentations", "segmentation_models_pytorch")


class Case:
    """A task with its default model at a tiny size, and a few of its own generated samples."""

    def __init__(self, name: str) -> None:
        options = {
            "task": {"image_size": SIZE},
            "data": {"n_generated": 4},
            "train": {"batch_size": 4, "precision": "fp32", "device": "cpu"},
        }
        self.config: Config = resolve(name, [("flag", options)])
        self.task: Task[Any, Any] = load_task(name)(self.config.task_options)
        splits = self.task.splits(self.config.data)
        self.parts = splits.parts
        self.samples = [splits.parts["train"][index] for index in range(4)]

    def network(self) -> Network:
        torch.manual_seed(0)
        return build(self.config.model.name, self.config.model, self.task.head()).network

    def card(self, network: Network) -> Card:
        return make_card(self.config, network, RUNTIME)

    def batch(self) -> dict[str, Tensor]:
        rng = np.random.default_rng(0)
        return stack([self.task.targets(sample, rng) for sample in self.samples])

    def predictor(self, network: Network) -> Predictor:
        session = TorchSession(network, RUNTIME.device, self.card(network), name="contract")
        return Predictor(self.task, session)


@pytest.fixture(scope="module", params=task_names())
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


@pytest.fixture(scope="module")
def network(case: Case) -> Network:
    """The default model, never trained; tests that train take a copy of their own."""
    return case.network().eval()


@pytest.fixture(scope="module")
def onnx(case: Case, network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(case.task.name) / "weights.onnx"
    export_onnx(network, case.card(network), path)
    return path


def _bytes(sample: Sample) -> list[bytes]:
    return [sample.image.tobytes(), *(label.tobytes() for label in sample.labels.values())]


def _total(task: Task[Any, Any], network: Network, batch: dict[str, Tensor]) -> Tensor:
    losses = task.objective()(network(batch["image"]), batch)
    return torch.stack(list(losses.values())).sum()


# ---- data


def test_the_class_describes_itself(case: Case) -> None:
    task = case.task
    assert (task.__doc__ or "").strip(), "its first line is shown by `img2img tasks`"
    assert task.best.metric in task.metrics
    assert task.best.mode in ("max", "min")
    assert issubclass(task.Options, TaskOptions)
    assert set(task.map_outputs) | set(task.result_outputs) <= set(task.head().outputs)


def test_samples_are_valid(case: Case) -> None:
    assert {"train", "val"} <= case.parts.keys()
    ids = [record.id for part in case.parts.values() for record in part.records]
    assert len(set(ids)) == len(ids), "parts share no sample"
    for part in case.parts.values():
        sample, record = part[0], part.records[0]
        assert sample.image.dtype == np.uint8
        assert sample.image.shape == (record.height, record.width, 3)
        assert (sample.id, sample.group) == (record.id, record.group or record.id)
        assert record.digest
        assert _bytes(part[0]) == _bytes(sample), "a sample is the same each time it is read"


def test_targets_depend_on_the_sample_and_the_generator_alone(case: Case) -> None:
    other = load_task(case.task.name)(case.config.task_options)
    for sample in case.samples:
        before = _bytes(sample)
        for seed in (None, 0, 1):
            rngs = [None if seed is None else np.random.default_rng(seed) for _ in range(2)]
            np.random.seed(len(before))  # the global generator must not matter
            first = case.task.targets(sample, rngs[0])
            second = other.targets(sample, rngs[1])
            assert first.keys() == second.keys()
            for key, value in first.items():
                np.testing.assert_array_equal(value, second[key])
        assert _bytes(sample) == before, "a sample is not changed"


def test_targets_of_all_samples_stack(case: Case) -> None:
    rng = np.random.default_rng(0)
    for generator in (rng, None):
        encoded = [case.task.targets(sample, generator) for sample in case.samples]
        kinds = [{key: (value.shape, value.dtype) for key, value in one.items()} for one in encoded]
        assert all(kind == kinds[0] for kind in kinds)
        shape, dtype = kinds[0]["image"]
        assert dtype == np.uint8
        assert shape[-1] == 3
        assert shape[:2] == (SIZE, SIZE)


# ---- network


def test_the_network_takes_the_batch_and_answers_what_the_head_names(
    case: Case, network: Network
) -> None:
    batch = case.batch()
    with torch.no_grad():
        maps, answers = network(batch["image"]), network.answer(batch["image"])
    assert maps.shape[:2] == (4, network.head.n_maps)
    assert tuple(answers) == network.head.outputs
    assert all(len(answer) == 4 for answer in answers.values())
    assert set(case.task.map_outputs) <= answers.keys()
    assert set(case.task.result_outputs) <= answers.keys()
    for name in case.task.map_outputs:
        assert answers[name].shape[1:3] == (SIZE, SIZE)


def test_the_loss_is_finite_and_reaches_every_parameter(case: Case) -> None:
    network = case.network().train()
    losses = case.task.objective()(network(case.batch()["image"]), case.batch())
    assert losses
    assert all(loss.ndim == 0 and torch.isfinite(loss) for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    unreached = [name for name, grad in gradients.items() if grad is None or not grad.any()]
    assert unreached == []
    assert all(torch.isfinite(grad).all() for grad in gradients.values() if grad is not None)


def test_one_batch_can_be_learned_by_heart(case: Case) -> None:
    network, batch = case.network().train(), case.batch()
    optimizer = torch.optim.Adam(network.parameters(), lr=max(case.config.train.lr, 3e-3))
    losses = []
    for _ in range(200):
        optimizer.zero_grad()
        total = _total(case.task, network, batch)
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(total.detach()))
    assert losses[-1] < losses[0] / 3


def test_tiles_answer_what_the_network_answers(case: Case, network: Network) -> None:
    task = case.task
    if not task.map_outputs:  # answered whole, whatever --tile says
        predictor, image = case.predictor(network), case.samples[0].image
        whole = json.dumps(task.to_json(predictor.run(image)))
        predictor.tile = 8
        assert json.dumps(task.to_json(predictor.run(image))) == whole
        return
    answers = case.predictor(network).session(case.samples[0].image[None])
    first = task.map_outputs[0]
    discrete = task.discretise({first: answers[first][0]})
    assert set(task.map_outputs) <= discrete.keys()
    for name in task.map_outputs:
        np.testing.assert_array_equal(discrete[name], answers[name][0])


# ---- measuring


def test_the_truth_measures_as_perfect(case: Case, network: Network) -> None:
    """Encoding and decoding lose no more than the task states."""
    task = case.task
    rows = []
    for index, sample in enumerate(case.samples):
        truth = task.truth(sample)
        assert truth is not None
        rows.append((index, sample.id, sample.group, task.measure(truth, sample)))
    evaluation = collect(rows)
    metrics = evaluation.metrics(task)
    assert set(metrics) <= set(task.metrics)
    value, best = metrics[task.best.metric], task.best
    assert value is not None
    limit = {"psnr": 100.0}.get(best.metric, 1.0 if best.mode == "max" else 0.0)
    assert value == pytest.approx(limit, abs=1e-3)
    predictor = case.predictor(network)
    blank = [
        (i, s.id, s.group, task.measure(predictor.run_sample(s), s))
        for i, s in enumerate(case.samples)
    ]
    assert best.better(value, collect(blank).metrics(task)[best.metric])


def test_metrics_are_one_number_a_name_and_weights_count_pictures(
    case: Case, network: Network
) -> None:
    task, answer = case.task, case.predictor(network)
    rows = [
        (index, sample.id, sample.group, task.measure(answer.run_sample(sample), sample))
        for index, sample in enumerate(case.samples)
    ]
    evaluation = collect(rows[::-1])
    assert evaluation.ids == [sample.id for sample in case.samples]
    assert list(evaluation.metrics(task)) == list(task.metrics)
    doubled = task.summarise(evaluation.rows, np.array([2.0, 0.0, 1.0, 0.0]))
    repeated = collect([rows[0], (9, *rows[0][1:]), rows[2]])
    once = task.summarise(repeated.rows, np.ones(3))
    assert doubled == pytest.approx(once, nan_ok=True)
    json.dumps(evaluation.to_json(task), allow_nan=False)


def test_baselines_answer_like_the_network(case: Case) -> None:
    for name, answer in case.task.baselines().items():
        assert name
        row = case.task.measure(answer(case.samples[0]), case.samples[0])
        assert all(isinstance(value, float) for value in row.values())


# ---- inference


@pytest.mark.parametrize(("height", "width"), [(SIZE, SIZE), (40, 57), (1, 1), (3, 90)])
def test_results_are_in_original_pixels(
    height: int, width: int, case: Case, network: Network
) -> None:
    task = case.task
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    before = image.copy()
    result = case.predictor(network).run(image)
    picture, drawn = task.picture(result), task.draw(image, result)
    if picture is not None:
        assert picture.dtype == np.uint8
        assert picture.shape[:2] == (height, width)
        assert picture.shape[2:] in ((), (1,), (3,))
    assert drawn.dtype == np.uint8
    assert drawn.shape == (height, width, 3)
    np.testing.assert_array_equal(image, before)
    parsed = json.loads(json.dumps(task.to_json(result), allow_nan=False))
    assert isinstance(parsed, dict)


@pytest.mark.parametrize(("height", "width"), [(SIZE, SIZE), (40, 57), (1, 1)])
def test_the_view_inverts(height: int, width: int, case: Case) -> None:
    view = case.task.view(height, width)
    points = np.array([[0.0, 0.0], [width - 1.0, height - 1.0], [0.3, 0.7]])
    np.testing.assert_allclose(view.to_original(view.to_canvas(points)), points, atol=1e-9)
    canvas = view.apply(np.zeros((height, width, 3), np.uint8))
    assert canvas.shape == (view.canvas_height, view.canvas_width, 3)
    assert view.restore_image(canvas).shape == (height, width, 3)


def test_a_batch_answers_like_one_by_one(case: Case, network: Network) -> None:
    predictor = case.predictor(network)
    images = [sample.image for sample in case.samples[:2]]
    together = [case.task.picture(result) for result in predictor.run_batch(images)]
    for picture, image in zip(together, images, strict=True):
        alone = case.task.picture(predictor.run(image))
        if picture is not None and alone is not None:
            assert np.abs(picture.astype(int) - alone).mean() < 0.01


# ---- files


def test_saved_weights_predict_the_same(case: Case, network: Network, tmp_path: Path) -> None:
    from img2img.engine.checkpoint import Checkpoint

    tensors = {f"network.{key}": value for key, value in network.state_dict().items()}
    checkpoint = Checkpoint(card=case.card(network), tensors=tensors, state={"step": 3})
    path = tmp_path / "checkpoint.safetensors"
    write_checkpoint(path, checkpoint)
    assert read_checkpoint(path).state == {"step": 3}
    assert read_checkpoint(path).card == checkpoint.card
    images = case.samples[0].image[None]
    ours = open_torch(path, name="", device="cpu")(images)
    theirs = case.predictor(network).session(images)
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value)


def test_onnx_equals_torch(case: Case, network: Network, onnx: Path) -> None:
    session = OnnxSession(onnx, name="onnx")
    assert session.card == case.card(network)
    for height, width in ((SIZE, SIZE), (45, 38), (2, 1)):
        images = np.random.default_rng(1).integers(0, 256, (2, height, width, 3), np.uint8)
        ours, theirs = session(images), case.predictor(network).session(images)
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            assert ours[name].dtype == value.dtype
            assert ours[name].shape == value.shape
            if value.dtype.kind == "f":
                scale = max(1.0, float(np.abs(value).max()))
                np.testing.assert_allclose(ours[name], value, atol=1e-4 * scale)
            else:
                assert (ours[name] == value).mean() > 0.99


PREDICT = """
import json, sys
from pathlib import Path
import numpy as np
from img2img.inference.predictor import Predictor
from img2img.inference.session import open_session, task_of
from img2img.inference.weights import find_weights

task_name, path, heavy = sys.argv[1:]
session = open_session(find_weights(path, task_name))
task = task_of(session.card, task_name)
image = np.random.default_rng(0).integers(0, 256, (48, 40, 3), np.uint8)
result = Predictor(task, session).run(image)
task.picture(result), task.draw(image, result), json.dumps(task.to_json(result))
print(json.dumps([name for name in heavy.split(",") if name in sys.modules]))
"""


def test_a_result_loads_no_heavy_library(case: Case, onnx: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PREDICT, case.task.name, str(onnx), ",".join(HEAVY)],
        capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_generated_data_need_no_options(case: Case) -> None:
    splits = case.task.splits(DataOptions(n_generated=3))
    assert len(splits.parts["train"]) == 3
    assert splits.stated
