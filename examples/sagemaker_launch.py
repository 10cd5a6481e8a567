"""Starts a training of img2img on SageMaker, through its official SDK (extra `img2img[sagemaker]`).

Usage: python examples/sagemaker_launch.py --image URI --role ARN --output s3://… TASK [NAME=VALUE…]
       --dry-run prints the job as JSON, as CreateTrainingJob takes it: no SDK, network, credentials

    python examples/sagemaker_launch.py --image $REGISTRY/img2img:0.1.0-cuda --role $ROLE \\
        --data s3://mine/photos --output s3://mine/models --spot \\
        segmentation max-time=2h batch-size=32 train.ema=0.99
"""

import argparse
import json
import re
import sys
import time
from typing import Any

Json = dict[str, Any]


def main(arguments: list[str]) -> int:
    """The exit code: 0 started (or printed), 1 not started, 2 the command is wrong."""
    asked = parse(arguments)
    request = job(asked)
    if asked.dry_run:
        print(json.dumps(request, indent=1))
        return 0
    try:
        print(launch(request, region=asked.region, wait=asked.wait))
    except ImportError as error:
        print(f"{error}: pip install 'img2img[sagemaker]'", file=sys.stderr)
        return 1
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("task", help="as in `img2img train TASK`")
    add("hyperparameters", nargs="*", metavar="NAME=VALUE", type=pair, default=[],
        help="flags of `img2img train` without dashes, and group.option=value")  # fmt: skip
    add("--image", required=True, help="what build.sh --push printed")
    add("--role", required=True, help="the ARN of the role that the job runs as")
    add("--output", required=True, type=s3, help="where the model folder goes, as model.tar.gz")
    add("--data", type=s3, help="the channel `training`; left out: generated data")
    add("--channel", action="append", type=channel, default=[], metavar="NAME=S3",
        help="another channel: pseudo, init, or parts such as train=… val=…")  # fmt: skip
    add("--checkpoints", type=s3, help="where the run is kept; left out: OUTPUT/NAME/checkpoints")
    add("--name", help="the job's name; left out: img2img-TASK-TIME")
    add("--instance", default="ml.g5.xlarge", help="type of the machines (%(default)s)")
    add("--instances", type=int, default=1, help="number of machines (%(default)s)")
    add("--disk", type=int, default=50, help="their disks, in GB (%(default)s)")
    add("--max-hours", type=float, default=24, help="then the job is stopped (%(default)s)")
    add("--spot", action="store_true", help="spot machines: cheaper, interrupted, resumed")
    add("--max-wait-hours", type=float, help="with --spot, waiting included (twice --max-hours)")
    add("--region", help="left out: that of the AWS configuration")
    add("--wait", action="store_true", help="show the log until the job ends")
    add("--dry-run", action="store_true", help="print the job as JSON and start nothing")
    return parser.parse_intermixed_args(arguments)


def pair(text: str) -> tuple[str, str]:
    """(name, value) of NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def channel(text: str) -> tuple[str, str]:
    """(name, address) of NAME=s3://…"""
    name, address = pair(text)
    return name, s3(address)


def s3(text: str) -> str:
    """An address in S3, without a slash at its end."""
    if not re.match(r"s3://[^/]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with s3://BUCKET")
    return text.rstrip("/")


def job(asked: argparse.Namespace) -> Json:
    """The request CreateTrainingJob."""
    made = f"img2img-{asked.task}-{time.strftime('%Y%m%d-%H%M%S')}"
    name = asked.name or made.replace("_", "-")  # names of jobs hold no underscores
    channels = [("training", asked.data)] if asked.data else []
    limits = {"MaxRuntimeInSeconds": round(asked.max_hours * 3600)}
    if asked.spot:
        wait_hours = asked.max_wait_hours or 2 * asked.max_hours
        limits["MaxWaitTimeInSeconds"] = round(wait_hours * 3600)
    request = {
        "TrainingJobName": name,
        "RoleArn": asked.role,
        "AlgorithmSpecification": {"TrainingImage": asked.image, "TrainingInputMode": "File"},
        "HyperParameters": {"task": asked.task, **dict(asked.hyperparameters)},
        "InputDataConfig": [source(*each) for each in [*channels, *asked.channel]],
        "OutputDataConfig": {"S3OutputPath": asked.output},
        "CheckpointConfig": {"S3Uri": asked.checkpoints or f"{asked.output}/{name}/checkpoints"},
        "ResourceConfig": {
            "InstanceType": asked.instance,
            "InstanceCount": asked.instances,
            "VolumeSizeInGB": asked.disk,
        },
        "StoppingCondition": limits,
        "EnableManagedSpotTraining": asked.spot,
    }
    return {key: value for key, value in request.items() if value != []}


def source(name: str, address: str) -> Json:
    """One entry of InputDataConfig: every machine gets all files."""
    files = {
        "S3DataType": "S3Prefix",
        "S3Uri": address,
        "S3DataDistributionType": "FullyReplicated",
    }
    return {"ChannelName": name, "DataSource": {"S3DataSource": files}}


def launch(request: Json, *, region: str | None, wait: bool) -> str:
    """Starts the job and gives its ARN."""
    from sagemaker.core.resources import TrainingJob

    started = TrainingJob.create(**in_snake_case(request), region=region)
    if wait:
        started.wait(logs=True)
    return str(started.training_job_arn)


def in_snake_case(value: Any) -> Any:
    """The same with keys as the SDK has them, but for names of hyperparameters."""
    if isinstance(value, list):
        return [in_snake_case(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        snake(key): each if key == "HyperParameters" else in_snake_case(each)
        for key, each in value.items()
    }


def snake(name: str) -> str:
    """`volume_size_in_gb` of `VolumeSizeInGB`."""
    split = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", split).lower()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
