"""The script that starts a job on SageMaker: what it asks for, without asking."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "sagemaker_launch.py"
NAMED = ("--image", "r.example.com/img2img:1", "--role", "arn:aws:iam::123456789012:role/trainer",
         "--output", "s3://mine/models/", "--name", "eggs")  # fmt: skip
ASKED = (*NAMED, "--data", "s3://mine/photos", "--channel", "pseudo=s3://mine/more", "--spot",
         "--max-hours", "2", "segmentation", "max-time=90m", "train.ema=0.99")  # fmt: skip


def launch(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the script where no SDK can be imported."""
    return subprocess.run(
        [sys.executable, "-S", SCRIPT, *arguments], capture_output=True, text=True, check=False,
        env={"PATH": ""},
    )  # fmt: skip


def test_a_dry_run_needs_nothing_and_prints_the_job() -> None:
    done = launch(*ASKED, "--dry-run")
    assert done.returncode == 0, done.stderr
    request = json.loads(done.stdout)
    assert request["HyperParameters"] == {
        "task": "segmentation", "max-time": "90m", "train.ema": "0.99"
    }  # fmt: skip
    channels = {
        each["ChannelName"]: each["DataSource"]["S3DataSource"]["S3Uri"]
        for each in request["InputDataConfig"]
    }
    assert channels == {"training": "s3://mine/photos", "pseudo": "s3://mine/more"}
    assert request["CheckpointConfig"] == {"S3Uri": "s3://mine/models/eggs/checkpoints"}
    limits = {"MaxRuntimeInSeconds": 7200, "MaxWaitTimeInSeconds": 14400}
    assert request["StoppingCondition"] == limits


def test_generated_data_need_no_channel() -> None:
    request = json.loads(launch(*NAMED, "--dry-run", "sobel").stdout)
    assert "InputDataConfig" not in request
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((*NAMED, "sobel", "--data", "photos"), 2, "'photos' does not begin with s3://BUCKET"),
        ((*NAMED, "sobel", "--channel", "val=photos"), 2, "does not begin with s3://BUCKET"),
        ((*NAMED, "sobel", "lr"), 2, "'lr' is not NAME=VALUE"),
        ((*NAMED, "sobel"), 1, "pip install 'img2img[sagemaker]'"),
    ],
)
def test_what_cannot_be_started(arguments: tuple[str, ...], code: int, message: str) -> None:
    done = launch(*arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.filterwarnings("ignore")  # what the SDK warns of is its own
def test_the_sdk_asks_for_the_job_that_a_dry_run_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    resources = pytest.importorskip("sagemaker.core.resources", reason="the extra sagemaker")
    boto3, stub = pytest.importorskip("boto3"), pytest.importorskip("botocore.stub")
    script = runpy.run_path(str(SCRIPT))
    request: dict[str, Any] = json.loads(launch(*ASKED, "--dry-run").stdout)
    client = boto3.client(
        "sagemaker", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    arn = "arn:aws:sagemaker:us-east-1:123456789012:training-job/eggs"
    described = {"TrainingJobName": "eggs", "TrainingJobArn": arn, "CreationTime": 0,
                 "ModelArtifacts": {"S3ModelArtifacts": ""}, "SecondaryStatus": "Starting",
                 "TrainingJobStatus": "InProgress",
                 **{name: request[name] for name in ("AlgorithmSpecification", "StoppingCondition",
                                                     "ResourceConfig")}}  # fmt: skip
    monkeypatch.setattr(resources.Base, "get_sagemaker_client", lambda **_: client)
    with stub.Stubber(client) as api:
        # Both the SDK's request and ours are checked against the service's own model.
        api.add_response("create_training_job", {"TrainingJobArn": arn}, request)
        api.add_response("describe_training_job", described)
        assert script["launch"](request, region="us-east-1", wait=False) == arn
        api.assert_no_pending_responses()
