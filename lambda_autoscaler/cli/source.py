"""Where a verb gets its cluster from: a snapshot folder, or the live APIs through a kubeconfig and an AWS profile. Both are only read."""

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

import boto3
import botocore.exceptions
import msgspec

from lambda_autoscaler.app import observe
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.edge.aws import AwsClient
from lambda_autoscaler.edge.kube import KubeClient
from lambda_autoscaler.edge.kube_http import KubeHttp
from lambda_autoscaler.edge.kubeconfig import Kubeconfig, default_paths
from lambda_autoscaler.edge.memory import ConfigMapMemory
from lambda_autoscaler.edge.snapshot import SnapshotAws, open_snapshot, read_flags
from lambda_autoscaler.edge.snapshot_writer import Moment, SnapshotWriter
from lambda_autoscaler.ports import Aws, BadInput, Kube
from lambda_autoscaler.settings import from_flags

_EKS_CONTEXTS = (
    re.compile(r"^arn:aws[\w-]*:eks:(?P<region>[\w-]+):\d+:cluster/(?P<name>.+)$"),
    re.compile(r"^[^@]+@(?P<name>[^.]+)\.(?P<region>[\w-]+)\.eksctl\.io$"),
)


class Source(msgspec.Struct, frozen=True):
    """A cluster to read: its ports, the memory of its last scan, the options and the flags they came from, the instant to decide for."""

    kube: Kube
    aws: Aws
    memory: Memory
    options: Options
    now: float
    flags: Mapping[str, str]


class LiveTarget(msgspec.Struct, frozen=True):
    """Which live cluster is meant; empty fields take kubectl's and the AWS CLI's defaults."""

    context: str = ""
    profile: str = ""
    region: str = ""
    cluster_name: str = ""


def live(target: LiveTarget, settings: Mapping[str, str]) -> Source:
    """A live cluster, now. Raises BadInput when the kubeconfig, the profile or a setting cannot be used."""
    kubeconfig = Kubeconfig(default_paths(os.environ))
    context = target.context or kubeconfig.current_context
    named = next((found for pattern in _EKS_CONTEXTS if (found := pattern.match(context))), None)
    cluster = target.cluster_name or settings.get("cluster-name", "") or (named["name"] if named else "")
    if not cluster:
        raise BadInput(f"the context {context!r} does not tell the cluster's name: give --cluster-name")
    flags = {**settings, "cluster-name": cluster}
    options = from_flags(flags)
    http = KubeHttp(kubeconfig.connection(context))
    aws = AwsClient(options, _session(target, named["region"] if named else ""))
    memory = ConfigMapMemory(http, options.namespace).load()
    return Source(KubeClient(http), aws, memory, options, time.time(), flags)  # noqa: TID251 - an entry point


def _session(target: LiveTarget, region_of_context: str) -> boto3.Session:
    try:
        # boto3 reads AWS_DEFAULT_REGION alone; every newer SDK, and the AWS command line, reads AWS_REGION first.
        region = target.region or os.environ.get("AWS_REGION")
        session = boto3.Session(profile_name=target.profile or None, region_name=region or None)
        if session.region_name is None and region_of_context:
            return boto3.Session(profile_name=target.profile or None, region_name=region_of_context)
    except botocore.exceptions.BotoCoreError as fault:
        raise BadInput(f"AWS profile or region: {fault}") from fault
    return session


def snapshot(folder: Path, settings: Mapping[str, str]) -> Source:
    """A snapshot folder at the instant it was taken; settings take the place of its own. Raises BadInput naming the file and the field."""
    found = open_snapshot(folder)
    flags = {name: value for name, value in read_flags(folder).items() if name != "now"} | dict(settings)
    options = from_flags(flags)
    return Source(found.kube, SnapshotAws(folder, options), found.memory, options, found.now, flags)


def record(source: Source, folder: Path, *, replace: bool) -> None:
    """Read what a scan would read and write it into a folder; an older snapshot there gives way if ``replace``. Raises BadInput."""
    if not replace and folder.is_dir() and any(folder.iterdir()):
        raise BadInput(f"{folder} is not empty: name another folder, or add --force to replace the snapshot in it")
    writer = SnapshotWriter(source.kube, source.aws)
    observe(writer.kube, writer.aws, source.options)
    writer.write(folder, Moment(source.flags, source.now, source.memory), force=replace)
