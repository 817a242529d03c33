"""Self-managed node groups: an Auto Scaling group of our own, for what EKS does not offer in a managed one.

On-demand and spot capacity in one group, a termination hook, no replacement of nodes by EKS. EKS does nothing for such a group: it does not
drain its nodes when a spot instance is interrupted, renew them when there is a new image, or let them into the cluster.

Odd parts:

* The nodes' labels and taints stand in the user data, for the kubelet, and in tags of the group, for an autoscaler while there is no node.
* A newer image changes the launch template; nodes that run keep theirs until they are replaced.
* Capacity rebalancing is off: it ends an instance at the time of its own choice, and the pods on it must have moved by then.
* ``up`` does not wait for instances: whether there is spot capacity is not the program's to decide.
"""

from typing import Any

import pulumi
import pulumi_aws as aws

from eks_autoscaling import component_arguments, launch_templates, names, node_config, policies, roles, shapes
from eks_autoscaling import self_managed_arguments as arguments
from eks_autoscaling.cluster import ClusterRef
from eks_autoscaling.launch_templates import DEFAULT_DISK_GIB, DEFAULT_HOP_LIMIT
from eks_autoscaling.node_group_arguments import node_taints
from eks_autoscaling.self_managed_arguments import SelfManagedNodeGroupArgs

TERMINATE_HOOK = "eks-autoscaling-terminate"


class SelfManagedNodeGroup(pulumi.ComponentResource):
    """An Auto Scaling group whose instances join a cluster by themselves, with all the tags that an autoscaler wants."""

    auto_scaling_group_name: pulumi.Output[str]
    """Name of the Auto Scaling group."""
    auto_scaling_group_arn: pulumi.Output[str]
    """ARN of the Auto Scaling group."""
    launch_template_id: pulumi.Output[str]
    """Launch template of the nodes."""
    node_role_arn: pulumi.Output[str]
    """IAM role of the nodes."""

    def __init__(self, name: str, args: SelfManagedNodeGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for arguments that cannot work."""
        component_arguments.check(args, SelfManagedNodeGroupArgs)
        super().__init__("eks-autoscaling:index:SelfManagedNodeGroup", name, None, opts)
        shape = arguments.check(name, args)
        self._name = name
        self._tags = args.get("tags", {})
        self._child = pulumi.ResourceOptions(parent=self)
        self._ask = pulumi.InvokeOptions(parent=self)
        self._template_tags = arguments.template_tags(args)
        role_arn, profile_arn, needs = self._identity(args)
        template = self._launch_template(args, shape, profile_arn)
        group = self._group(args, template, needs)
        if args.get("terminate_hook", True):
            self._hook(args, group)
        self.auto_scaling_group_name = group.name
        self.auto_scaling_group_arn = group.arn
        self.launch_template_id = template.id
        self.node_role_arn = pulumi.Output.from_input(role_arn)
        outputs = ("auto_scaling_group_name", "auto_scaling_group_arn", "launch_template_id", "node_role_arn")
        self.register_outputs({output: getattr(self, output) for output in outputs})

    def _identity(self, args: SelfManagedNodeGroupArgs) -> tuple[pulumi.Input[str], pulumi.Input[str], list[pulumi.Resource]]:
        """ARNs of the nodes' role and instance profile, and what must stand before the first node starts."""
        needs: list[pulumi.Resource] = []
        role_arn = args.get("node_role_arn")
        if role_arn is None:
            role, grants = roles.with_managed_policies(
                self,
                names.child(self._name, "node", names.IAM_ROLE_NAME_LIMIT),
                policies.service_trust("ec2.amazonaws.com"),
                policies.NODE_POLICIES,
                self._tags,
            )
            role_arn = role.arn
            needs += grants
        profile_arn = args.get("instance_profile_arn")
        if profile_arn is None:
            # A role's name is the last part of its ARN; what stands before is its path.
            role_name = pulumi.Output.from_input(role_arn).apply(lambda arn: arn.rpartition("/")[2])
            profile = aws.iam.InstanceProfile(f"{self._name}-node", role=role_name, tags=self._tags, opts=self._child)
            profile_arn = profile.arn
        if args.get("access_entry", args.get("node_role_arn") is None):
            needs.append(self._access_entry(args["cluster"], role_arn))
        return role_arn, profile_arn, needs

    def _access_entry(self, cluster: ClusterRef, role_arn: pulumi.Input[str]) -> aws.eks.AccessEntry:
        return aws.eks.AccessEntry(
            f"{self._name}-node",
            cluster_name=cluster["name"],
            principal_arn=role_arn,
            type="EC2_LINUX",
            tags=self._tags,
            opts=self._child,
        )

    def _launch_template(
        self, args: SelfManagedNodeGroupArgs, shape: shapes.Shape, profile_arn: pulumi.Input[str]
    ) -> aws.ec2.LaunchTemplate:
        cluster = aws.eks.get_cluster_output(name=args["cluster"]["name"], opts=self._ask)
        labels, taints = arguments.labels(args), node_taints(args.get("taints", []))
        security_groups = args.get("security_group_ids") or [cluster.apply(lambda found: found.vpc_config.cluster_security_group_id)]
        machine = launch_templates.Machine(
            self._name,
            "/dev/xvda",
            args.get("disk_size_gib", DEFAULT_DISK_GIB),
            args.get("imds_hop_limit", DEFAULT_HOP_LIMIT),
            self._tags,
            args.get("volume_kms_key_arn"),
        )
        return launch_templates.launch_template(
            self,
            machine,
            image_id=self._image(args, shape, cluster.version),
            iam_instance_profile={"arn": profile_arn},
            vpc_security_group_ids=list(security_groups),
            user_data=cluster.apply(lambda found: node_config.user_data(_endpoint(found), labels, taints)),
        )

    def _image(self, args: SelfManagedNodeGroupArgs, shape: shapes.Shape, version: pulumi.Output[str]) -> pulumi.Input[str]:
        given = args.get("ami_id")
        if given is not None:
            return given
        recommended = pulumi.Output.concat(
            "/aws/service/eks/optimized-ami/",
            args.get("version", version),
            f"/amazon-linux-2023/{shape.architecture}/standard/recommended/image_id",
        )
        # An image's id is no secret, as which Pulumi would treat the parameter's other value.
        return aws.ssm.get_parameter_output(name=args.get("ami_ssm_parameter", recommended), opts=self._ask).insecure_value

    def _group(
        self, args: SelfManagedNodeGroupArgs, template: aws.ec2.LaunchTemplate, needs: list[pulumi.Resource]
    ) -> aws.autoscaling.Group:
        size = arguments.size(args)
        return aws.autoscaling.Group(
            self._name,
            min_size=size.least,
            max_size=size.most,
            desired_capacity=size.desired,
            vpc_zone_identifiers=list(args["subnet_ids"]),
            mixed_instances_policy=_mixed_instances(args, template),
            capacity_rebalance=args.get("capacity_rebalance", False),
            wait_for_capacity_timeout="0",
            tags=self._group_tags(args["cluster"]["name"]),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=needs,
                ignore_changes=["desiredCapacity"] if args.get("ignore_desired_size", True) else [],
            ),
        )

    def _group_tags(self, cluster: pulumi.Input[str]) -> Any:
        """The group's tags; instances get only that of the cluster, and the user's own from the launch template."""
        name = pulumi.Output.from_input(cluster)
        of_the_cluster: list[tuple[pulumi.Input[str], pulumi.Input[str]]] = [
            (names.ENABLED_TAG, "true"),
            (pulumi.Output.concat(names.TAG_PREFIX, name), "owned"),
        ]
        own = [*of_the_cluster, *self._template_tags.items(), *self._tags.items()]
        owned = {"key": pulumi.Output.concat("kubernetes.io/cluster/", name), "value": "owned", "propagate_at_launch": True}
        return [*({"key": key, "value": value, "propagate_at_launch": False} for key, value in own), owned]

    def _hook(self, args: SelfManagedNodeGroupArgs, group: aws.autoscaling.Group) -> None:
        aws.autoscaling.LifecycleHook(
            f"{self._name}-terminate",
            name=TERMINATE_HOOK,
            autoscaling_group_name=group.name,
            lifecycle_transition="autoscaling:EC2_INSTANCE_TERMINATING",
            heartbeat_timeout=arguments.hook_seconds(args),
            default_result="CONTINUE",
            opts=self._child,
        )


def _mixed_instances(args: SelfManagedNodeGroupArgs, template: aws.ec2.LaunchTemplate) -> Any:
    on_demand = args["capacity_type"] == "ON_DEMAND"
    return {
        "launch_template": {
            "launch_template_specification": {
                "launch_template_id": template.id,
                "version": template.latest_version.apply(lambda version: str(int(version))),
            },
            "overrides": [{"instance_type": instance_type} for instance_type in args["instance_types"]],
        },
        "instances_distribution": {
            "on_demand_allocation_strategy": "prioritized",
            "on_demand_base_capacity": int(args.get("on_demand_base_size", 0)),
            "on_demand_percentage_above_base_capacity": 100 if on_demand else int(args.get("on_demand_percentage", 0)),
            "spot_allocation_strategy": "price-capacity-optimized",
        },
    }


def _endpoint(cluster: aws.eks.GetClusterResult) -> node_config.Endpoint:
    network = cluster.kubernetes_network_configs[0]
    services = network.service_ipv6_cidr if network.ip_family == "ipv6" else network.service_ipv4_cidr
    return node_config.Endpoint(cluster.name, cluster.endpoint, cluster.certificate_authorities[0].data, services)
