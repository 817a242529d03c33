"""Managed node groups that have an Auto Scaling group, as on EKS; moto only makes up the group's name.

EKS copies the launch template, lists the instance types in a mixed instances policy and puts five tags on the group. For
its own images it works out how many pods a node takes, from the settings that the VPC CNI add-on has at that moment, and
writes the number into the copy's user data: the fewest of the group's types.
It also grants the node role access to the cluster, and shows the group's desired size as the node group's own.
"""

import threading
import uuid
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from tests.cluster.eks_access import EksAccess
from tests.cluster.eks_add_ons import EksAddOns
from tests.cluster.group_capacity import GroupCapacity
from tests.cluster.node_shapes import addressable_pods
from tests.cluster.node_user_data import with_max_pods

_KEPT = ("updateConfig", "nodeRepairConfig", "launchTemplate", "warmPoolConfig")
# One of the images that moto knows.
_IMAGE = "ami-12c6146b"
_SIZES = {"minSize": "MinSize", "maxSize": "MaxSize", "desiredSize": "DesiredCapacity"}


class EksNodeGroups:
    """Answers the EKS operations on node groups; ``moto`` gives clients that reach moto unguarded."""

    def __init__(self, moto: Callable[[str], Any], capacity: GroupCapacity, access: EksAccess, add_ons: EksAddOns) -> None:
        self._moto = moto
        self._capacity = capacity
        self._access = access
        self._add_ons = add_ons
        self._lock = threading.Lock()
        self._names: dict[tuple[str, str], str] = {}
        self._kept: dict[tuple[str, str], dict[str, Any]] = {}
        self.answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "CreateNodegroup": self._create,
            "DescribeNodegroup": self._describe,
            "UpdateNodegroupConfig": self._update,
            "DeleteNodegroup": self._delete,
        }

    def forget(self) -> None:
        """Drop what is kept beside moto."""
        with self._lock:
            self._names, self._kept = {}, {}

    def _create(self, params: dict[str, Any]) -> dict[str, Any]:
        version = params.get("version") or self._moto("eks").describe_cluster(name=params["clusterName"])["cluster"]["version"]
        created = self._moto("eks").create_nodegroup(**{**params, "version": version})["nodegroup"]
        key = (params["clusterName"], params["nodegroupName"])
        unique = str(uuid.uuid4())
        with self._lock:
            self._names[key] = f"eks-{params['nodegroupName']}-{unique}"
            self._kept[key] = {name: params[name] for name in _KEPT if name in params}
        self._create_auto_scaling_group(created, key, unique)
        self._access.admit_nodes(params["clusterName"], params["nodeRole"])
        return self._describe({"clusterName": key[0], "nodegroupName": key[1]})

    def _create_auto_scaling_group(self, group: dict[str, Any], key: tuple[str, str], unique: str) -> None:
        template = self._copy_template(group, key[0], f"eks-{unique}")
        spot = group["capacityType"] == "SPOT"
        sizes = {name: group["scalingConfig"][ours] for ours, name in _SIZES.items()}
        policy = {
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {"LaunchTemplateId": template, "Version": "1"},
                "Overrides": [{"InstanceType": name} for name in group["instanceTypes"]],
            },
            "InstancesDistribution": {
                "OnDemandAllocationStrategy": "prioritized",
                "OnDemandBaseCapacity": 0,
                "OnDemandPercentageAboveBaseCapacity": 0 if spot else 100,
                "SpotAllocationStrategy": "price-capacity-optimized",
            },
        }
        tags = [
            {"Key": name, "Value": value, "PropagateAtLaunch": True, "ResourceType": "auto-scaling-group"}
            for name, value in _tags_of_eks(*key).items()
        ]
        wanted = {"VPCZoneIdentifier": ",".join(group["subnets"]), "CapacityRebalance": spot, "MixedInstancesPolicy": policy, "Tags": tags}
        self._capacity.create_group({"AutoScalingGroupName": self._names[key], **sizes, **wanted})

    def _copy_template(self, group: dict[str, Any], cluster: str, name: str) -> str:
        ec2 = self._moto("ec2")
        data: dict[str, Any] = {}
        given = group.get("launchTemplate")
        if given:
            versions = ec2.describe_launch_template_versions(LaunchTemplateId=given["id"], Versions=[given.get("version", "$Default")])[
                "LaunchTemplateVersions"
            ]
            data = versions[0]["LaunchTemplateData"]
        if "ImageId" not in data:
            bottlerocket = group.get("amiType", "").startswith("BOTTLEROCKET")
            pods = self._max_pods(cluster, group["instanceTypes"])
            data["UserData"] = with_max_pods(data.get("UserData", ""), pods, bottlerocket=bottlerocket)
        # moto launches what the template says and does not look at the types of the policy.
        data = {**data, "ImageId": _IMAGE, "InstanceType": group["instanceTypes"][0]}
        copy = ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
        identifier: str = copy["LaunchTemplate"]["LaunchTemplateId"]
        return identifier

    def _max_pods(self, cluster: str, instance_types: list[str]) -> int:
        variables = self._add_ons.cni_variables(cluster)
        prefixes = variables.get("ENABLE_PREFIX_DELEGATION") == "true"
        custom = variables.get("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG") == "true"
        described = self._moto("ec2").describe_instance_types(InstanceTypes=instance_types)["InstanceTypes"]
        return min(addressable_pods(kind, prefixes=prefixes, custom_networking=custom) for kind in described)

    def _describe(self, params: dict[str, Any]) -> dict[str, Any]:
        key = (params["clusterName"], params["nodegroupName"])
        group: dict[str, Any] = self._moto("eks").describe_nodegroup(**params)["nodegroup"]
        with self._lock:
            name = self._names[key]
            group |= self._kept[key]
        group["resources"] = {"autoScalingGroups": [{"name": name}]}
        if "launchTemplate" in group:
            group.pop("remoteAccess", None)
            group.pop("diskSize", None)
        found = self._capacity.describe_groups({"AutoScalingGroupNames": [name]})["AutoScalingGroups"]
        if found:
            group["scalingConfig"] = {ours: found[0][theirs] for ours, theirs in _SIZES.items()}
        return {"nodegroup": group}

    def _update(self, params: dict[str, Any]) -> dict[str, Any]:
        key = (params["clusterName"], params["nodegroupName"])
        answer: dict[str, Any] = self._moto("eks").update_nodegroup_config(**params)
        sizes = {_SIZES[name]: value for name, value in params.get("scalingConfig", {}).items()}
        if sizes:
            self._capacity.update_group({"AutoScalingGroupName": self._names[key], **sizes})
        with self._lock:
            self._kept[key] |= {name: params[name] for name in _KEPT if name in params}
        return answer

    def _delete(self, params: dict[str, Any]) -> dict[str, Any]:
        key = (params["clusterName"], params["nodegroupName"])
        described = self._describe(params)
        self._moto("eks").delete_nodegroup(**params)
        try:
            self._moto("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=self._names[key], ForceDelete=True)
        except ClientError as gone:
            # Somebody removed the group by hand, which EKS tolerates.
            if "not found" not in str(gone):
                raise
        with self._lock:
            del self._names[key], self._kept[key]
        return described


def _tags_of_eks(cluster: str, node_group: str) -> dict[str, str]:
    return {
        "eks:cluster-name": cluster,
        "eks:nodegroup-name": node_group,
        "k8s.io/cluster-autoscaler/enabled": "true",
        f"k8s.io/cluster-autoscaler/{cluster}": "owned",
        f"kubernetes.io/cluster/{cluster}": "owned",
    }
