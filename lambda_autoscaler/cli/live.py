"""The live cluster of a verb, through a kubeconfig and an AWS profile. It is only read.

A module of its own, since botocore takes long to import and neither the demo nor a snapshot needs it.
"""

import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import botocore.session
import msgspec

from lambda_autoscaler.cli.source import Source
from lambda_autoscaler.edge.aws import AwsClient
from lambda_autoscaler.edge.aws_errors import at_the_border
from lambda_autoscaler.edge.kube import KubeClient
from lambda_autoscaler.edge.kube_http import KubeHttp
from lambda_autoscaler.edge.kubeconfig import Kubeconfig, default_paths
from lambda_autoscaler.edge.memory import ConfigMapMemory
from lambda_autoscaler.ports import BadInput
from lambda_autoscaler.settings import from_flags

_EKS_CONTEXTS = (
    re.compile(r"^arn:aws[\w-]*:eks:(?P<region>[\w-]+):\d+:cluster/(?P<name>.+)$"),
    re.compile(r"^[^@]+@(?P<name>[^.]+)\.(?P<region>[\w-]+)\.eksctl\.io$"),
)


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
    connection = kubeconfig.connection(context)
    named = next((found for pattern in _EKS_CONTEXTS if (found := pattern.match(context))), None)
    cluster = target.cluster_name or settings.get("cluster-name", "") or (named["name"] if named else "")
    if not cluster:
        raise BadInput(f"the context {context!r} does not tell the cluster's name: give --cluster-name")
    flags = {**settings, "cluster-name": cluster}
    options = from_flags(flags)
    http = KubeHttp(connection)
    aws = AwsClient(options, _session(target, named["region"] if named else "").create_client)
    memory = ConfigMapMemory(http, options.namespace).load()
    return Source(KubeClient(http), aws, memory, options, time.time(), flags)  # noqa: TID251 - an entry point


def offered_types(zones: Sequence[str], profile: str, region: str) -> set[str]:
    """Instance types that EC2 offers in all the availability zones. Raises the errors of ec2:DescribeInstanceTypeOfferings."""
    client = _ec2(profile, region or zones[0].rstrip("abcdefghijklmnopqrstuvwxyz"))
    by_zone: dict[str, set[str]] = {zone: set() for zone in zones}
    with at_the_border("ec2", "DescribeInstanceTypeOfferings", client.meta.endpoint_url):
        pages = client.get_paginator("describe_instance_type_offerings").paginate(
            LocationType="availability-zone", Filters=[{"Name": "location", "Values": list(zones)}]
        )
        for offering in (item for page in pages for item in page["InstanceTypeOfferings"]):
            by_zone[offering["Location"]].add(offering["InstanceType"])
    empty = [zone for zone, types in by_zone.items() if not types]
    if empty:
        raise BadInput(f"EC2 offers nothing in {', '.join(empty)}: is that an availability zone of the region?")
    return set.intersection(*by_zone.values())


def described_types(profile: str, region: str) -> tuple[list[Mapping[str, Any]], str]:
    """Every instance type of a region as EC2 describes it, and the region. Raises the errors of ec2:DescribeInstanceTypes."""
    client = _ec2(profile, region)
    with at_the_border("ec2", "DescribeInstanceTypes", client.meta.endpoint_url):
        pages = client.get_paginator("describe_instance_types").paginate()
        return [info for page in pages for info in page["InstanceTypes"]], client.meta.region_name


def _ec2(profile: str, region: str) -> Any:
    session = _session(LiveTarget(profile=profile, region=region), "")
    with at_the_border("ec2", "", ""):
        return session.create_client("ec2")


def _session(target: LiveTarget, region_of_context: str) -> botocore.session.Session:
    """The profile's session. The region is the flag's, AWS_REGION's (which botocore does not read), the profile's or the context's."""
    with at_the_border("sts", "", ""):
        session = botocore.session.Session(profile=target.profile or None)
        region = target.region or os.environ.get("AWS_REGION") or session.get_config_variable("region") or region_of_context
    if region:
        session.set_config_variable("region", region)
    return session
