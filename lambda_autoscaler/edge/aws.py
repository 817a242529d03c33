"""Auto Scaling, EC2 and EKS behind ``ports.Aws``.

Clients are botocore's own: importing boto3 brings S3's transfer machinery, which costs a cold start and is used for nothing here. They are
made when first needed, since loading the model of a service is the dearest part that is left. Answers that seldom change are kept in the
object, which lives as long as its container: node groups six minutes, launch templates, configurations and what requirements resolve to
twenty, as the Cluster Autoscaler does (behaviour specification, section 9); spot prices ten; instance types for good. Answers are handed on
as JSON bytes with ISO times.
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import botocore.session
import msgspec
from botocore.config import Config

from lambda_autoscaler import questions
from lambda_autoscaler.core.events import Hook
from lambda_autoscaler.core.options import Options, TagFilter
from lambda_autoscaler.edge.aws_errors import at_the_border
from lambda_autoscaler.ports import NotFound, Refused

NODEGROUP_SECONDS: Final = 360.0
LAUNCH_TEMPLATE_SECONDS: Final = 1200.0
SPOT_PRICE_SECONDS: Final = 600.0
NAMES_PER_PAGE: Final = 100
NO_ACTIVE_ACTION: Final = "No active Lifecycle Action"
_TEMPLATE_ID: Final = re.compile(r"^lt-[0-9a-f]{8,17}$")


def client_config(answer_seconds: float = 15.0, attempts: int = 4) -> Config:
    """Settings of a client: how long an answer may take, and how often a request is sent at most."""
    retries: Any = {"mode": "standard", "total_max_attempts": attempts}
    return Config(retries=retries, connect_timeout=3, read_timeout=answer_seconds, user_agent_extra="eks-autoscaling")


class _Kept(msgspec.Struct, frozen=True):
    """An answer and when it must be asked for again; a thing that is not there is an answer too."""

    answer: bytes | None
    until: float


class AwsClient:
    """AWS as the autoscaler of one cluster needs it.

    ``make_client`` is a session's, to choose profile and region; ``config`` is that of every client.
    """

    def __init__(
        self,
        options: Options,
        make_client: Callable[..., Any] | None = None,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - an edge
        config: Config | None = None,
    ) -> None:
        self._options = options
        self._config = config or client_config()
        self._make_client = make_client or _runtime_clients()
        self._clock = clock
        self._clients: dict[str, Any] = {}
        self._kept: dict[tuple[str, ...], _Kept] = {}
        self._types: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """The client of a service, made on first use. Raises BadInput without region or credentials."""
        if service not in self._clients:
            with at_the_border(service, "", ""):
                self._clients[service] = self._make_client(service, config=self._config)
        return self._clients[service]

    def describe_cluster(self) -> bytes:
        """DescribeCluster of the options' cluster. Raises NotFound when there is none of that name in this account and region."""
        return self._call("eks", "DescribeCluster", name=self._options.cluster_name)

    def groups(self) -> Iterator[bytes]:
        """Pages of groups: those that carry all discovery tags, then the explicit ones."""
        tags = self._options.discovery()
        if tags:
            yield from self._pages("autoscaling", "DescribeAutoScalingGroups", Filters=[_filter(tag) for tag in tags])
        for names in _batches([spec.name for spec in self._options.nodes], NAMES_PER_PAGE):
            yield from self._pages("autoscaling", "DescribeAutoScalingGroups", AutoScalingGroupNames=list(names))

    def describe(self, question: questions.Question) -> bytes | None:
        """Answer a question, from what is kept if that is fresh enough."""
        match question:
            case questions.Nodegroup(name):
                cluster = self._options.cluster_name
                return self._cached(NODEGROUP_SECONDS, "eks", "DescribeNodegroup", clusterName=cluster, nodegroupName=name)
            case questions.InstanceTypes(names):
                return self._instance_types(names)
            case questions.LaunchTemplate(template, version):
                key = "LaunchTemplateId" if _TEMPLATE_ID.match(template) else "LaunchTemplateName"
                return self._cached(
                    LAUNCH_TEMPLATE_SECONDS, "ec2", "DescribeLaunchTemplateVersions", **{key: template, "Versions": [version]}
                )
            case questions.LaunchConfiguration(name):
                answer = self._cached(
                    LAUNCH_TEMPLATE_SECONDS, "autoscaling", "DescribeLaunchConfigurations", LaunchConfigurationNames=[name]
                )
                return answer if answer is not None and msgspec.json.decode(answer)["LaunchConfigurations"] else None
            case questions.Activities(group):
                return self._call("autoscaling", "DescribeScalingActivities", AutoScalingGroupName=group)
            case questions.MatchingTypes(image=image, requirements=requirements):
                return self._matching_types(image, requirements)
            case questions.SpotPrices(types):
                return self._spot_prices(types)
            case questions.ReservationInstances(reservation):
                return self._reservation_instances(reservation)

    def _reservation_instances(self, reservation: str) -> bytes:
        filters = [{"Name": "capacity-reservation-id", "Values": [reservation]}]
        pages = self._pages("ec2", "DescribeInstances", Filters=filters)
        reservations = [item for page in pages for item in msgspec.json.decode(page)["Reservations"]]
        return msgspec.json.encode({"Reservations": reservations})

    def _instance_types(self, names: Sequence[str]) -> bytes:
        """Asked for by filter: named directly, one unknown type would fail the whole request."""
        wanted = sorted({name for name in names if name not in self._types})
        for some in _batches(wanted, NAMES_PER_PAGE):
            filters = [{"Name": "instance-type", "Values": list(some)}]
            for page in self._pages("ec2", "DescribeInstanceTypes", Filters=filters):
                self._types |= {info["InstanceType"]: info for info in msgspec.json.decode(page)["InstanceTypes"]}
        return msgspec.json.encode({"InstanceTypes": [self._types[name] for name in names if name in self._types]})

    def _matching_types(self, image: str, requirements: bytes) -> bytes | None:
        described = self._cached(LAUNCH_TEMPLATE_SECONDS, "ec2", "DescribeImages", ImageIds=[image])
        images = msgspec.json.decode(described)["Images"] if described is not None else []
        if not images:
            raise NotFound(f"image {image} does not exist or is not shared with this account")
        return self._cached(
            LAUNCH_TEMPLATE_SECONDS,
            "ec2",
            "GetInstanceTypesFromInstanceRequirements",
            ArchitectureTypes=[images[0]["Architecture"]],
            VirtualizationTypes=[images[0]["VirtualizationType"]],
            InstanceRequirements=msgspec.json.decode(requirements),
        )

    def _spot_prices(self, types: Sequence[str]) -> bytes:
        """With the present as start, EC2 answers with the price that holds now, one per type and zone."""
        kept = self._kept.get(("spot prices", *types))
        if kept is None or kept.until <= self._clock():
            now = datetime.fromtimestamp(self._clock(), UTC)
            wanted = {"InstanceTypes": list(types), "ProductDescriptions": ["Linux/UNIX"], "StartTime": now}
            pages = self._pages("ec2", "DescribeSpotPriceHistory", **wanted)
            prices = [price for page in pages for price in msgspec.json.decode(page)["SpotPriceHistory"]]
            kept = _Kept(msgspec.json.encode({"SpotPriceHistory": prices}), self._clock() + SPOT_PRICE_SECONDS)
            self._kept["spot prices", *types] = kept
        assert kept.answer is not None
        return kept.answer

    def set_desired_capacity(self, group: str, desired: int) -> None:
        """SetDesiredCapacity, at once whatever the group's cooldown."""
        self._call("autoscaling", "SetDesiredCapacity", AutoScalingGroupName=group, DesiredCapacity=desired, HonorCooldown=False)

    def terminate(self, instance: str, *, decrement: bool = True) -> None:
        """TerminateInstanceInAutoScalingGroup; with ``decrement`` the group does not replace the instance."""
        self._call("autoscaling", "TerminateInstanceInAutoScalingGroup", InstanceId=instance, ShouldDecrementDesiredCapacity=decrement)

    def complete_lifecycle(self, hook: Hook, instance: str) -> None:
        """CompleteLifecycleAction with CONTINUE; Auto Scaling refuses what is completed already, which is as good."""
        try:
            self._call("autoscaling", "CompleteLifecycleAction", LifecycleActionResult="CONTINUE", **_action(hook, instance))
        except (NotFound, Refused) as fault:
            if NO_ACTIVE_ACTION not in str(fault):
                raise

    def heartbeat(self, hook: Hook, instance: str) -> None:
        """RecordLifecycleActionHeartbeat."""
        self._call("autoscaling", "RecordLifecycleActionHeartbeat", **_action(hook, instance))

    def _call(self, service: str, operation: str, **parameters: Any) -> bytes:
        client = self.client(service)
        with at_the_border(service, operation, client.meta.endpoint_url):
            return _json(getattr(client, _method(operation))(**parameters))

    def _pages(self, service: str, operation: str, **parameters: Any) -> Iterator[bytes]:
        client = self.client(service)
        with at_the_border(service, operation, client.meta.endpoint_url):
            for page in client.get_paginator(_method(operation)).paginate(PaginationConfig={"PageSize": NAMES_PER_PAGE}, **parameters):
                yield _json(page)

    def _cached(self, seconds: float, service: str, operation: str, **parameters: Any) -> bytes | None:
        key = (operation, *(str(value) for value in parameters.values()))
        kept = self._kept.get(key)
        if kept is None or kept.until <= self._clock():
            kept = _Kept(self._call_or_none(service, operation, **parameters), self._clock() + seconds)
            self._kept[key] = kept
        return kept.answer

    def _call_or_none(self, service: str, operation: str, **parameters: Any) -> bytes | None:
        try:
            return self._call(service, operation, **parameters)
        except NotFound:
            return None


def _action(hook: Hook, instance: str) -> dict[str, str]:
    """Names a lifecycle action; the token is left out, since the instance names it as well and a redelivered token may be an old one."""
    return {"AutoScalingGroupName": hook.group, "LifecycleHookName": hook.name, "InstanceId": instance}


def _runtime_clients() -> Callable[..., Any]:
    """Maker of clients in the region of AWS_REGION, which Lambda sets and botocore itself does not read."""
    session = botocore.session.get_session()
    region = os.environ.get("AWS_REGION")
    if region:
        session.set_config_variable("region", region)
    return session.create_client


def _batches(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (names[start : start + size] for start in range(0, len(names), size))


def _filter(tag: TagFilter) -> Mapping[str, object]:
    return {"Name": f"tag:{tag.key}", "Values": [tag.value]} if tag.value else {"Name": "tag-key", "Values": [tag.key]}


def _method(operation: str) -> str:
    """boto3's method of an operation: ``DescribeNodegroup`` is ``describe_nodegroup``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()


def _json(answer: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({key: value for key, value in answer.items() if key != "ResponseMetadata"})
