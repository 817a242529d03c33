"""The AWS API answers the autoscaler reads, with the fields it needs and no others.

Field names are the API's in snake case (Auto Scaling and EC2 answer in Pascal case, EKS in camel case). The same types read a live answer
and a file made by ``aws ... describe-...``.
"""

from typing import Any

import msgspec


class _Pascal(msgspec.Struct, frozen=True, rename="pascal", gc=False):
    pass


class _Camel(msgspec.Struct, frozen=True, rename="camel", gc=False):
    pass


class Tag(_Pascal, frozen=True):
    """autoscaling TagDescription."""

    key: str
    value: str = ""


class Instance(_Pascal, frozen=True):
    """autoscaling Instance."""

    instance_id: str
    availability_zone: str = ""
    lifecycle_state: str = "InService"
    instance_type: str = ""
    health_status: str = "Healthy"
    protected_from_scale_in: bool = False


class LaunchTemplateSpecification(_Pascal, frozen=True):
    """autoscaling LaunchTemplateSpecification: id or name, and a version (``$Default`` when absent)."""

    launch_template_id: str = ""
    launch_template_name: str = ""
    version: str = ""


class CountRange(_Pascal, frozen=True):
    """A minimum and a maximum of an instance requirement."""

    min: int | None = None
    max: int | None = None


class InstanceRequirements(_Pascal, frozen=True, kw_only=True):
    """Attribute-based instance type selection (autoscaling and ec2 InstanceRequirements): the part a capacity can be read from.

    The whole of it is kept as it came, since EC2 is asked with it which types it allows.
    """

    v_cpu_count: CountRange = msgspec.field(default=CountRange(), name="VCpuCount")
    memory_mib: CountRange = msgspec.field(default=CountRange(), name="MemoryMiB")
    accelerator_count: CountRange | None = None
    accelerator_manufacturers: list[str] = []
    accelerator_types: list[str] = []


class Override(_Pascal, frozen=True):
    """autoscaling LaunchTemplateOverrides."""

    instance_type: str = ""
    instance_requirements: dict[str, Any] | None = None
    launch_template_specification: LaunchTemplateSpecification | None = None


class LaunchTemplateWithOverrides(_Pascal, frozen=True):
    """autoscaling LaunchTemplate of a mixed-instances policy."""

    launch_template_specification: LaunchTemplateSpecification = LaunchTemplateSpecification()
    overrides: list[Override] = []


class InstancesDistribution(_Pascal, frozen=True):
    """autoscaling InstancesDistribution."""

    on_demand_base_capacity: int = 0
    on_demand_percentage_above_base_capacity: int = 100


class MixedInstancesPolicy(_Pascal, frozen=True):
    """autoscaling MixedInstancesPolicy."""

    launch_template: LaunchTemplateWithOverrides = LaunchTemplateWithOverrides()
    instances_distribution: InstancesDistribution = InstancesDistribution()


class AutoScalingGroup(_Pascal, frozen=True):
    """autoscaling AutoScalingGroup."""

    auto_scaling_group_name: str
    min_size: int
    max_size: int
    desired_capacity: int
    auto_scaling_group_arn: str = msgspec.field(default="", name="AutoScalingGroupARN")
    availability_zones: list[str] = []
    instances: list[Instance] = []
    tags: list[Tag] = []
    launch_configuration_name: str = ""
    launch_template: LaunchTemplateSpecification | None = None
    mixed_instances_policy: MixedInstancesPolicy | None = None
    capacity_rebalance: bool = False


class AutoScalingGroups(_Pascal, frozen=True):
    """Answer of autoscaling:DescribeAutoScalingGroups."""

    auto_scaling_groups: list[AutoScalingGroup] = []


class Activity(_Pascal, frozen=True):
    """autoscaling Activity; times are RFC 3339 texts."""

    activity_id: str = ""
    start_time: str = ""
    status_code: str = ""
    status_message: str = ""
    auto_scaling_group_name: str = ""


class Activities(_Pascal, frozen=True):
    """Answer of autoscaling:DescribeScalingActivities, newest first."""

    activities: list[Activity] = []


class LaunchConfiguration(_Pascal, frozen=True):
    """autoscaling LaunchConfiguration."""

    launch_configuration_name: str
    instance_type: str = ""
    spot_price: str = ""


class LaunchConfigurations(_Pascal, frozen=True):
    """Answer of autoscaling:DescribeLaunchConfigurations."""

    launch_configurations: list[LaunchConfiguration] = []


class VCpuInfo(_Pascal, frozen=True):
    """ec2 VCpuInfo."""

    default_v_cpus: int = msgspec.field(default=0, name="DefaultVCpus")


class MemoryInfo(_Pascal, frozen=True):
    """ec2 MemoryInfo."""

    size_in_mib: int = msgspec.field(default=0, name="SizeInMiB")


class GpuDevice(_Pascal, frozen=True):
    """ec2 GpuDeviceInfo."""

    count: int = 0
    manufacturer: str = ""
    name: str = ""


class GpuInfo(_Pascal, frozen=True):
    """ec2 GpuInfo."""

    gpus: list[GpuDevice] = []


class ProcessorInfo(_Pascal, frozen=True):
    """ec2 ProcessorInfo."""

    supported_architectures: list[str] = []


class NetworkInfo(_Pascal, frozen=True):
    """ec2 NetworkInfo."""

    maximum_network_interfaces: int = 0
    ipv4_addresses_per_interface: int = msgspec.field(default=0, name="Ipv4AddressesPerInterface")


class InstanceTypeInfo(_Pascal, frozen=True):
    """ec2 InstanceTypeInfo."""

    instance_type: str
    v_cpu_info: VCpuInfo = msgspec.field(default=VCpuInfo(), name="VCpuInfo")
    memory_info: MemoryInfo = MemoryInfo()
    gpu_info: GpuInfo | None = None
    processor_info: ProcessorInfo = ProcessorInfo()
    network_info: NetworkInfo = NetworkInfo()
    hypervisor: str = ""
    bare_metal: bool = False


class InstanceTypes(_Pascal, frozen=True):
    """Answer of ec2:DescribeInstanceTypes."""

    instance_types: list[InstanceTypeInfo] = []


class SpotPrice(_Pascal, frozen=True):
    """ec2 SpotPrice: USD per hour as text."""

    instance_type: str
    availability_zone: str = ""
    spot_price: str = ""


class SpotPrices(_Pascal, frozen=True):
    """Answer of ec2:DescribeSpotPriceHistory, newest first."""

    spot_price_history: list[SpotPrice] = []


class InstanceMarketOptions(_Pascal, frozen=True):
    """ec2 LaunchTemplateInstanceMarketOptions."""

    market_type: str = ""


class LaunchTemplateData(_Pascal, frozen=True):
    """ec2 ResponseLaunchTemplateData."""

    instance_type: str = ""
    image_id: str = ""
    instance_requirements: dict[str, Any] | None = None
    instance_market_options: InstanceMarketOptions | None = None


class LaunchTemplateVersion(_Pascal, frozen=True):
    """ec2 LaunchTemplateVersion."""

    launch_template_id: str = ""
    launch_template_name: str = ""
    version_number: int = 1
    default_version: bool = False
    launch_template_data: LaunchTemplateData = LaunchTemplateData()


class LaunchTemplateVersions(_Pascal, frozen=True):
    """Answer of ec2:DescribeLaunchTemplateVersions."""

    launch_template_versions: list[LaunchTemplateVersion] = []


class NodegroupTaint(_Camel, frozen=True):
    """eks Taint; effects are NO_SCHEDULE, NO_EXECUTE and PREFER_NO_SCHEDULE."""

    key: str = ""
    value: str | None = None
    effect: str = ""


class Nodegroup(_Camel, frozen=True):
    """eks Nodegroup."""

    nodegroup_name: str
    cluster_name: str = ""
    status: str = ""
    version: str | None = None
    capacity_type: str | None = None
    instance_types: list[str] | None = None
    ami_type: str | None = None
    disk_size: int | None = None
    labels: dict[str, str] | None = None
    taints: list[NodegroupTaint] | None = None
    tags: dict[str, str] | None = None


class NodegroupAnswer(_Camel, frozen=True):
    """Answer of eks:DescribeNodegroup."""

    nodegroup: Nodegroup


class ClusterCertificate(_Camel, frozen=True):
    """eks Certificate: the endpoint's certificate authority, base64 of PEM."""

    data: str = ""


class EksCluster(_Camel, frozen=True):
    """eks Cluster."""

    name: str
    endpoint: str = ""
    status: str = ""
    version: str = ""
    certificate_authority: ClusterCertificate = ClusterCertificate()


class ClusterAnswer(_Camel, frozen=True):
    """Answer of eks:DescribeCluster."""

    cluster: EksCluster


class Ec2Instance(_Pascal, frozen=True):
    """ec2 Instance, as far as it is asked for."""

    instance_id: str


class Reservation(_Pascal, frozen=True):
    """ec2 Reservation: instances that were launched together."""

    instances: list[Ec2Instance] = []


class Reservations(_Pascal, frozen=True):
    """Answer of ec2:DescribeInstances."""

    reservations: list[Reservation] = []
