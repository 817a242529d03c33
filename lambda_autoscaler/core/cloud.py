"""Auto Scaling groups into node groups, and what AWS says about the node a group would add.

Mirrors the AWS provider of the Cluster Autoscaler (behaviour specification, section 9): instance type from launch configuration, launch
template or mixed-instances policy; ``node-template`` tags; and for managed node groups EKS's own labels and taints, which win over tags.
One group that cannot be read never stops the others: its fault is kept on it, or named in the list of faults.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from lambda_autoscaler.core import amazon
from lambda_autoscaler.core.kubernetes import Taint
from lambda_autoscaler.core.model import CloudTemplate, GroupOptions, Instance, LaunchFailure, NodeGroup, Resources
from lambda_autoscaler.core.observed import Observed, template_key
from lambda_autoscaler.core.options import GroupSpec, Options
from lambda_autoscaler.core.units import QuantityError, TimestampError, parse_duration, parse_resource, parse_timestamp

LABEL_TAG: Final = "k8s.io/cluster-autoscaler/node-template/label/"
TAINT_TAG: Final = "k8s.io/cluster-autoscaler/node-template/taint/"
RESOURCE_TAG: Final = "k8s.io/cluster-autoscaler/node-template/resources/"
OPTION_TAG: Final = "k8s.io/cluster-autoscaler/node-template/autoscaling-options/"
DEFAULT_MAX_PODS: Final = 110
NVIDIA_GPU: Final = "nvidia.com/gpu"
_TAINT_VALUE: Final = re.compile(r"^(?P<value>[^:]*):(?P<effect>NoSchedule|NoExecute|PreferNoSchedule)$")
_EKS_EFFECTS: Final = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}
_DEPRECATED_LABELS: Final = {
    "kubernetes.io/arch": "beta.kubernetes.io/arch",
    "kubernetes.io/os": "beta.kubernetes.io/os",
    "node.kubernetes.io/instance-type": "beta.kubernetes.io/instance-type",
    "topology.kubernetes.io/region": "failure-domain.beta.kubernetes.io/region",
    "topology.kubernetes.io/zone": "failure-domain.beta.kubernetes.io/zone",
}


def node_groups(observed: Observed, options: Options) -> tuple[tuple[NodeGroup, ...], list[str]]:
    """Node groups of the discovered ASGs, ordered by name, and a sentence for each that cannot be used."""
    explicit: dict[str, GroupSpec] = {}
    for spec in options.nodes:
        explicit.setdefault(spec.name, spec)
    groups: list[NodeGroup] = []
    faults: list[str] = []
    for asg in sorted(observed.groups, key=lambda group: group.auto_scaling_group_name):
        name = asg.auto_scaling_group_name
        spec = explicit.get(name, GroupSpec(asg.min_size, asg.max_size, name))
        if spec.maximum < spec.minimum:
            faults.append(f"Auto Scaling group {name}: maximum {spec.maximum} is below minimum {spec.minimum}; the group is left alone")
            continue
        group, group_faults = _node_group(asg, spec, observed, options)
        groups.append(group)
        faults.extend(group_faults)
    return tuple(groups), faults


def _node_group(asg: amazon.AutoScalingGroup, spec: GroupSpec, observed: Observed, options: Options) -> tuple[NodeGroup, list[str]]:
    tags = {tag.key: tag.value for tag in asg.tags}
    nodegroup = observed.nodegroups.get(tags.get("eks:nodegroup-name", ""))
    cloud, faults = _cloud_template(asg, tags, observed, options)
    group_options, option_faults = _group_options(tags)
    group = NodeGroup(
        id=spec.name,
        # Auto Scaling itself keeps its own minimum: a node would be drained in vain.
        minimum=max(spec.minimum, asg.min_size),
        maximum=spec.maximum,
        desired=asg.desired_capacity,
        instances=_instances(asg),
        zones=tuple(asg.availability_zones),
        tags=tags,
        cloud=cloud,
        options=group_options,
        failures=_failures(observed.activities.get(spec.name, ())),
        managed=tags.get("eks:nodegroup-name", ""),
        capacity_type=_capacity_type(asg, nodegroup, observed),
        types=_types(asg, nodegroup),
    )
    return group, [f"Auto Scaling group {spec.name}: {fault}" for fault in (*faults, *option_faults)]


def _instances(asg: amazon.AutoScalingGroup) -> tuple[Instance, ...]:
    """Instances of the group, and a placeholder for each one that was asked for and is not there (section 9.3)."""
    real = [
        Instance(item.instance_id, item.availability_zone, item.lifecycle_state, item.instance_type, item.protected_from_scale_in)
        for item in asg.instances
    ]
    zone = asg.availability_zones[0] if asg.availability_zones else ""
    missing = range(len(real), asg.desired_capacity)
    return (*real, *(Instance(f"i-placeholder-{asg.auto_scaling_group_name}-{number}", zone, placeholder=True) for number in missing))


def _failures(activities: tuple[amazon.Activity, ...] | list[amazon.Activity]) -> tuple[LaunchFailure, ...]:
    found = []
    for activity in activities:
        if activity.status_code == "Failed":
            try:
                found.append(LaunchFailure(parse_timestamp(activity.start_time), activity.status_message))
            except TimestampError:
                continue
    return tuple(found)


def _types(asg: amazon.AutoScalingGroup, nodegroup: amazon.Nodegroup | None) -> tuple[str, ...]:
    """Instance types that the group names itself; none when it leaves that to its launch template or to requirements."""
    policy = asg.mixed_instances_policy
    if policy is not None:
        return tuple(item.instance_type for item in policy.launch_template.overrides if item.instance_type)
    return tuple(nodegroup.instance_types or ()) if nodegroup is not None else ()


def _capacity_type(asg: amazon.AutoScalingGroup, nodegroup: amazon.Nodegroup | None, observed: Observed) -> str:
    """``SPOT``, ``ON_DEMAND`` or, of a policy with both, ``MIXED``; from the node group, the policy or the launch template's market."""
    if nodegroup is not None and nodegroup.capacity_type:
        return nodegroup.capacity_type
    policy = asg.mixed_instances_policy
    if policy is not None:
        spread = policy.instances_distribution
        if spread.on_demand_percentage_above_base_capacity == 100:
            return "ON_DEMAND"
        return "MIXED" if spread.on_demand_base_capacity or spread.on_demand_percentage_above_base_capacity else "SPOT"
    if asg.launch_template is not None:
        version = observed.launch_templates.get(template_key(asg.launch_template))
        market = version.launch_template_data.instance_market_options if version else None
        return "SPOT" if market is not None and market.market_type == "spot" else "ON_DEMAND"
    configuration = observed.launch_configurations.get(asg.launch_configuration_name)
    return "SPOT" if configuration is not None and configuration.spot_price else "ON_DEMAND"


def _cloud_template(
    asg: amazon.AutoScalingGroup, tags: Mapping[str, str], observed: Observed, options: Options
) -> tuple[CloudTemplate, list[str]]:
    if not asg.availability_zones:
        return CloudTemplate(fault="the group names no availability zone"), []
    type_name, requirements, fault = _instance_type(asg, observed)
    info = observed.instance_types.get(type_name)
    if requirements is None and info is None:
        reason = fault or f"the instance type {type_name!r} is unknown to EC2"
        return CloudTemplate(fault=reason, instance_type=type_name), [reason]
    try:
        required = None if requirements is None else msgspec.convert(requirements, amazon.InstanceRequirements)
    except msgspec.ValidationError as error:
        reason = f"its instance requirements cannot be read: {error}"
        return CloudTemplate(fault=reason, instance_type=type_name), [reason]
    nodegroup = observed.nodegroups.get(tags.get("eks:nodegroup-name", ""))
    capacity, faults = _capacity(info, required, tags, nodegroup, options)
    labels = {**_generic_labels(asg.availability_zones[0], type_name, info), **_tag_labels(tags), **_nodegroup_labels(nodegroup)}
    labels |= {old: labels[new] for new, old in _DEPRECATED_LABELS.items() if new in labels and old not in labels}
    return CloudTemplate(labels, _taints(tags, nodegroup), capacity, type_name), faults


def _instance_type(asg: amazon.AutoScalingGroup, observed: Observed) -> tuple[str, dict[str, Any] | None, str]:
    """Instance type name, the requirements that stand for it when there are any, and why neither is known."""
    if asg.launch_configuration_name:
        configuration = observed.launch_configurations.get(asg.launch_configuration_name)
        if configuration is None:
            return "", None, f"launch configuration {asg.launch_configuration_name} does not exist"
        return configuration.instance_type, None, ""
    policy = asg.mixed_instances_policy
    if policy is not None and asg.launch_template is None:
        overrides = policy.launch_template.overrides
        named = [override.instance_type for override in overrides if override.instance_type]
        if named:
            return named[0], None, ""
        if len(overrides) == 1 and overrides[0].instance_requirements is not None:
            return observed.resolved_types.get(asg.auto_scaling_group_name, ""), overrides[0].instance_requirements, ""
        return _from_launch_template(asg, policy.launch_template.launch_template_specification, observed)
    if asg.launch_template is not None:
        return _from_launch_template(asg, asg.launch_template, observed)
    return "", None, "it has neither launch template nor launch configuration"


def _from_launch_template(
    asg: amazon.AutoScalingGroup, specification: amazon.LaunchTemplateSpecification, observed: Observed
) -> tuple[str, dict[str, Any] | None, str]:
    version = observed.launch_templates.get(template_key(specification))
    if version is None:
        return "", None, f"launch template {template_key(specification)} does not exist or cannot be read"
    data = version.launch_template_data
    if data.instance_type:
        return data.instance_type, None, ""
    if data.instance_requirements is not None:
        return observed.resolved_types.get(asg.auto_scaling_group_name, ""), data.instance_requirements, ""
    return "", None, f"launch template {template_key(specification)} names no instance type"


def _capacity(
    info: amazon.InstanceTypeInfo | None,
    requirements: amazon.InstanceRequirements | None,
    tags: Mapping[str, str],
    nodegroup: amazon.Nodegroup | None,
    options: Options,
) -> tuple[Resources, list[str]]:
    found: dict[str, int] = {"pods": DEFAULT_MAX_PODS, "cpu": 0, "memory": 0, NVIDIA_GPU: 0}
    if info is not None:
        found["cpu"] = info.v_cpu_info.default_v_cpus * 1000
        found["memory"] = info.memory_info.size_in_mib * 2**20
        found[NVIDIA_GPU] = sum(gpu.count for gpu in info.gpu_info.gpus) if info.gpu_info else 0
        if options.eni_max_pods and info.network_info.maximum_network_interfaces:
            found["pods"] = eni_max_pods(info.network_info)
    if requirements is not None:
        found |= _required_capacity(requirements)
    faults: list[str] = []
    for source in (tags, (nodegroup.tags or {}) if nodegroup else {}):
        for key, text in source.items():
            name = key.partition(RESOURCE_TAG)[2]
            if name:
                try:
                    found[name] = parse_resource(name, text)
                except QuantityError as fault:
                    faults.append(f"tag {key} is ignored: {fault}")
    return tuple(sorted(found.items())), faults


def eni_max_pods(network: amazon.NetworkInfo) -> int:
    """Pods that the VPC CNI can address without prefix delegation: ENIs x (addresses - 1) + 2 host-network pods."""
    return network.maximum_network_interfaces * (network.ipv4_addresses_per_interface - 1) + 2


def _required_capacity(requirements: amazon.InstanceRequirements) -> dict[str, int]:
    """The least that attribute-based selection may give. Upstream's 32-bit product loses memory from 2 GiB on."""
    found: dict[str, int] = {}
    if requirements.v_cpu_count.min is not None:
        found["cpu"] = requirements.v_cpu_count.min * 1000
    if requirements.memory_mib.min is not None:
        found["memory"] = requirements.memory_mib.min * 2**20
    nvidia = "nvidia" in requirements.accelerator_manufacturers and "gpu" in requirements.accelerator_types
    if nvidia and requirements.accelerator_count is not None and requirements.accelerator_count.min is not None:
        found[NVIDIA_GPU] = requirements.accelerator_count.min
    return found


def _generic_labels(zone: str, type_name: str, info: amazon.InstanceTypeInfo | None) -> dict[str, str]:
    architectures = info.processor_info.supported_architectures if info else []
    known_type = {"node.kubernetes.io/instance-type": type_name} if type_name else {}
    return {
        **known_type,
        "kubernetes.io/arch": "arm64" if "arm64" in architectures else "amd64",
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/region": zone[:-1],
        "topology.kubernetes.io/zone": zone,
        "topology.ebs.csi.aws.com/zone": zone,
    }


def _tag_labels(tags: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for key, value in tags.items():
        name = key.partition(LABEL_TAG)[2] or key.partition("eks:")[2]
        if name:
            found[name] = value
    return found


def _nodegroup_labels(nodegroup: amazon.Nodegroup | None) -> dict[str, str]:
    if nodegroup is None:
        return {}
    facts = {
        "diskSize": str(nodegroup.disk_size) if nodegroup.disk_size is not None else None,
        "amiType": nodegroup.ami_type,
        "eks.amazonaws.com/capacityType": nodegroup.capacity_type,
        "k8sVersion": nodegroup.version,
        "eks.amazonaws.com/nodegroup": nodegroup.nodegroup_name,
    }
    return {**{key: value for key, value in facts.items() if value}, **(nodegroup.labels or {})}


def _taints(tags: Mapping[str, str], nodegroup: amazon.Nodegroup | None) -> tuple[Taint, ...]:
    found: list[Taint] = []
    for key, text in sorted(tags.items()):
        name = key.partition(TAINT_TAG)[2]
        match = _TAINT_VALUE.match(text)
        if name and match:
            found.append(Taint(key=name, effect=match["effect"], value=match["value"]))
    for item in (nodegroup.taints or ()) if nodegroup else ():
        if item.key and item.value is not None and item.effect in _EKS_EFFECTS:
            found.append(Taint(key=item.key, effect=_EKS_EFFECTS[item.effect], value=item.value))
    return tuple(found)


def _group_options(tags: Mapping[str, str]) -> tuple[GroupOptions, list[str]]:
    faults: list[str] = []

    def read(name: str, parse: Callable[[str], float]) -> float | None:
        text = tags.get(OPTION_TAG + name)
        try:
            return None if text is None else parse(text)
        except ValueError:
            faults.append(f"tag {OPTION_TAG}{name} is ignored: {text!r} cannot be used")
            return None

    flag = tags.get(OPTION_TAG + "ignoredaemonsetsutilization", "").lower()
    found = GroupOptions(
        utilization_threshold=read("scaledownutilizationthreshold", float),
        gpu_utilization_threshold=read("scaledowngpuutilizationthreshold", float),
        unneeded_time=read("scaledownunneededtime", parse_duration),
        unready_time=read("scaledownunreadytime", parse_duration),
        ignore_daemonsets={"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}.get(flag),
    )
    return found, faults
