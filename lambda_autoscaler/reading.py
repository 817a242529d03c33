"""What a scan reads, and in which order.

Auto Scaling groups come first: without one there is nothing to do. What the groups refer to (EKS node groups, launch templates, instance
types, failed launches of groups that lack instances) follows, then the Kubernetes lists. Nodes and pods must be readable; any other thing
that cannot be read becomes a sentence in ``faults``, and the scan goes on with the healthy rest: it may add nodes, but removes none.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from lambda_autoscaler import questions
from lambda_autoscaler.core import amazon
from lambda_autoscaler.core.attribute_based import Attributes, attributes_of
from lambda_autoscaler.core.decode import decode_objects
from lambda_autoscaler.core.kubernetes import ConfigMap
from lambda_autoscaler.core.observed import Observed, template_key
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.priorities import PRIORITY_CONFIG_MAP
from lambda_autoscaler.group_descriptions import decoded, read_groups
from lambda_autoscaler.on_demand import on_demand_prices
from lambda_autoscaler.ports import AutoscalerError, Aws, BadInput, Denied, Kube, NotFound, Refused, Unreachable

REQUIRED_KINDS: Final = ("nodes", "pods")
OPTIONAL_KINDS: Final = (
    "namespaces",
    "daemonsets",
    "replicasets",
    "statefulsets",
    "jobs",
    "replicationcontrollers",
    "poddisruptionbudgets",
    "persistentvolumes",
    "persistentvolumeclaims",
    "storageclasses",
    "csinodes",
)
_Value = TypeVar("_Value")


def observe(kube: Kube, aws: Aws, options: Options) -> Observed:
    """All that a decision needs. Raises BadInput when no Auto Scaling group is found, and the error of nodes or pods."""
    faults: list[str] = []
    unread: list[str] = []
    groups = read_groups(aws, faults)
    if not groups:
        raise BadInput(_no_groups(options))
    cloud = _Cloud(aws, groups, faults)
    objects: dict[str, Any] = {plural: _objects(kube, plural, faults, unread) for plural in (*REQUIRED_KINDS, *OPTIONAL_KINDS)}
    return Observed(
        **objects,
        config_maps=_config_maps(kube, options, faults),
        groups=groups,
        nodegroups=cloud.nodegroups,
        instance_types=cloud.instance_types,
        launch_templates=cloud.launch_templates,
        launch_configurations=cloud.launch_configurations,
        resolved_types=cloud.resolved_types,
        activities=cloud.activities,
        on_demand_prices=on_demand_prices() if options.looks_at_prices else {},
        spot_prices=cloud.spot_prices(groups) if options.looks_at_prices else [],
        faults=faults,
        unread=unread,
    )


def _no_groups(options: Options) -> str:
    tags = ", ".join(f"{tag.key}={tag.value}" if tag.value else tag.key for tag in options.discovery())
    names = ", ".join(spec.name for spec in options.nodes)
    wanted = " or ".join(text for text in (f"carries all of the tags {tags}" if tags else "", f"is named {names}" if names else "") if text)
    return f"no Auto Scaling group {wanted}: tag the groups, or set node-group-auto-discovery or nodes to those that are meant"


def _objects(kube: Kube, plural: str, faults: list[str], unread: list[str]) -> list[Any]:
    found: list[Any] = []
    try:
        for page in kube.list(plural):
            objects, broken = decode_objects(plural, page)
            found.extend(objects)
            faults.extend(broken)
            unread.extend([plural] if broken else [])
    except msgspec.DecodeError as fault:
        raise BadInput(f"the list of {plural} cannot be read: {fault}") from fault
    except (Denied, NotFound, Refused) as fault:
        if plural in REQUIRED_KINDS:
            raise
        faults.append(f"{plural} cannot be listed, the scan goes on without them and removes no node: {fault}")
        unread.append(plural)
        return []
    return found


def _config_maps(kube: Kube, options: Options, faults: list[str]) -> dict[str, Mapping[str, str]]:
    if "priority" not in options.expander:
        return {}
    try:
        found = kube.config_map(options.namespace, PRIORITY_CONFIG_MAP)
        data = decoded(found, ConfigMap, f"ConfigMap {PRIORITY_CONFIG_MAP}").data if found is not None else None
    except (Denied, Refused, BadInput) as fault:
        faults.append(f"ConfigMap {options.namespace}/{PRIORITY_CONFIG_MAP} cannot be read: {fault}")
        return {}
    return {PRIORITY_CONFIG_MAP: data} if data is not None else {}


class _Cloud:
    """What the groups refer to. Each read that fails costs only what it would have told."""

    def __init__(self, aws: Aws, groups: list[amazon.AutoScalingGroup], faults: list[str]) -> None:
        self._aws = aws
        self._faults = faults
        self._silent: set[str] = set()
        self.nodegroups = self._each(_nodegroup_names(groups), "EKS node group", self._nodegroup)
        self.launch_templates = self._each(_templates(groups), "launch template", self._launch_template)
        configurations = {group.launch_configuration_name: group.launch_configuration_name for group in groups}
        self.launch_configurations = self._each(configurations, "launch configuration", self._launch_configuration)
        lacking = {group.auto_scaling_group_name: group.auto_scaling_group_name for group in groups if _lacks_instances(group)}
        self.activities = self._each(lacking, "scaling activities of", self._activities)
        attributes = {group.auto_scaling_group_name: attributes_of(group, self.launch_templates) for group in groups}
        wanted = {name: (name, found) for name, found in attributes.items() if found is not None}
        self.resolved_types = self._each(wanted, "instance types that meet the requirements of Auto Scaling group", self._first_type)
        self.instance_types = self._types(groups)

    def _each(self, keys: Mapping[str, Any], what: str, read: Callable[[Any], _Value | None]) -> dict[str, _Value]:
        """Values by key. An endpoint that does not answer is not asked again in this scan: each timeout costs seconds."""
        found: dict[str, _Value] = {}
        for key, argument in keys.items():
            if not key or what in self._silent:
                continue
            try:
                value = read(argument)
            except AutoscalerError as fault:
                self._faults.append(f"{what} {key} cannot be read: {fault}")
                if isinstance(fault, Unreachable):
                    self._silent.add(what)
                continue
            if value is not None:
                found[key] = value
        return found

    def _nodegroup(self, name: str) -> amazon.Nodegroup | None:
        answer = self._aws.describe(questions.Nodegroup(name))
        return None if answer is None else decoded(answer, amazon.NodegroupAnswer, "answer of eks:DescribeNodegroup").nodegroup

    def _launch_template(self, wanted: amazon.LaunchTemplateSpecification) -> amazon.LaunchTemplateVersion | None:
        name = wanted.launch_template_id or wanted.launch_template_name
        answer = self._aws.describe(questions.LaunchTemplate(name, wanted.version or "$Default"))
        if answer is None:
            return None
        versions = decoded(answer, amazon.LaunchTemplateVersions, "answer of ec2:DescribeLaunchTemplateVersions").launch_template_versions
        return versions[0] if versions else None

    def _launch_configuration(self, name: str) -> amazon.LaunchConfiguration | None:
        answer = self._aws.describe(questions.LaunchConfiguration(name))
        if answer is None:
            return None
        found = decoded(answer, amazon.LaunchConfigurations, "answer of autoscaling:DescribeLaunchConfigurations").launch_configurations
        return found[0] if found else None

    def _activities(self, group: str) -> list[amazon.Activity]:
        answer = self._aws.describe(questions.Activities(group)) or b"{}"
        return decoded(answer, amazon.Activities, "answer of autoscaling:DescribeScalingActivities").activities

    def _first_type(self, wanted: tuple[str, Attributes]) -> str | None:
        group, attributes = wanted
        requirements = msgspec.json.encode(attributes.requirements)
        answer = self._aws.describe(questions.MatchingTypes(group, attributes.image, requirements))
        if answer is None:
            return None
        what = "answer of ec2:GetInstanceTypesFromInstanceRequirements"
        found = decoded(answer, amazon.InstanceTypes, what).instance_types
        if not found:
            raise BadInput("no instance type of this region meets them")
        return found[0].instance_type

    def spot_prices(self, groups: Iterable[amazon.AutoScalingGroup]) -> list[amazon.SpotPrice]:
        """Spot prices of the types that the groups run or would launch."""
        types = {*self.instance_types, *(instance.instance_type for group in groups for instance in group.instances)} - {""}
        try:
            answer = self._aws.describe(questions.SpotPrices(tuple(sorted(types)))) if types else None
            return decoded(answer or b"{}", amazon.SpotPrices, "answer of ec2:DescribeSpotPriceHistory").spot_price_history
        except AutoscalerError as fault:
            self._faults.append(f"spot prices cannot be read, a share of the on-demand price is taken: {fault}")
            return []

    def _types(self, groups: Iterable[amazon.AutoScalingGroup]) -> dict[str, amazon.InstanceTypeInfo]:
        named = {override.instance_type for group in groups for override in _overrides(group)}
        named |= {version.launch_template_data.instance_type for version in self.launch_templates.values()}
        named |= {configuration.instance_type for configuration in self.launch_configurations.values()}
        named |= {*self.resolved_types.values()}
        names = sorted(named - {""})
        try:
            answer = self._aws.describe(questions.InstanceTypes(tuple(names))) if names else None
            infos = decoded(answer or b"{}", amazon.InstanceTypes, "answer of ec2:DescribeInstanceTypes").instance_types
        except AutoscalerError as fault:
            self._faults.append(f"instance types {', '.join(names)} cannot be read: {fault}")
            return {}
        return {info.instance_type: info for info in infos}


def _nodegroup_names(groups: Iterable[amazon.AutoScalingGroup]) -> dict[str, str]:
    """Managed node groups: those that carry both of the tags that EKS puts on."""
    found = {}
    for group in groups:
        tags = {tag.key: tag.value for tag in group.tags}
        if tags.get("eks:cluster-name") and tags.get("eks:nodegroup-name"):
            found[tags["eks:nodegroup-name"]] = tags["eks:nodegroup-name"]
    return found


def _overrides(group: amazon.AutoScalingGroup) -> list[amazon.Override]:
    return group.mixed_instances_policy.launch_template.overrides if group.mixed_instances_policy is not None else []


def _templates(groups: Iterable[amazon.AutoScalingGroup]) -> dict[str, amazon.LaunchTemplateSpecification]:
    """Launch templates that decide an instance type: a group's own, or its policy's when no override names a type."""
    found = {}
    for group in groups:
        wanted = group.launch_template
        if wanted is None and group.mixed_instances_policy is not None and not any(item.instance_type for item in _overrides(group)):
            wanted = group.mixed_instances_policy.launch_template.launch_template_specification
        if wanted is not None:
            found[template_key(wanted)] = wanted
    return found


def _lacks_instances(group: amazon.AutoScalingGroup) -> bool:
    return group.desired_capacity > len(group.instances)
