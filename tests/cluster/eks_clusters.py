"""EKS clusters as EKS tells of them: moto's cluster, with the fields that moto drops and the endpoint a test gives.

moto keeps no access configuration, upgrade policy or protection, and its endpoint and certificate lead nowhere. A real
control plane's endpoint and certificate authority take their place through ``set_endpoint``.
"""

import base64
import threading
import uuid
from collections.abc import Callable
from typing import Any

from tests.cluster.aws_protocol import AwsError

# moto's own default is several years old.
NEWEST_VERSION = "1.34"
_KEPT = (
    *("accessConfig", "upgradePolicy", "deletionProtection", "zonalShiftConfig", "controlPlaneScalingConfig"),
    *("computeConfig", "storageConfig", "remoteNetworkConfig"),
    *("kubeApiServerConfig", "kubeSchedulerConfig", "kubeControllerManagerConfig"),
)


class EksClusters:
    """Answers the EKS operations on clusters; ``moto`` gives clients that reach moto unguarded."""

    def __init__(self, moto: Callable[[str], Any]) -> None:
        self._moto = moto
        self._lock = threading.Lock()
        self._kept: dict[str, dict[str, Any]] = {}
        self._endpoints: dict[str, tuple[str, bytes]] = {}
        self._security_groups: dict[str, str] = {}
        self._vpcs: dict[str, str] = {}
        self.answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "CreateCluster": self._create,
            "DescribeCluster": lambda params: {"cluster": self.describe(params["name"])},
            "DeleteCluster": self._delete,
        }

    def forget(self) -> None:
        """Drop what is kept beside moto."""
        with self._lock:
            self._kept, self._endpoints, self._security_groups, self._vpcs = {}, {}, {}, {}

    def set_endpoint(self, name: str, endpoint: str, ca_pem: bytes) -> None:
        """Answer ``endpoint`` (URL) and ``ca_pem`` (PEM) for cluster ``name``, whether it exists yet or not."""
        with self._lock:
            self._endpoints[name] = (endpoint, ca_pem)

    def describe(self, name: str) -> dict[str, Any]:
        """The cluster as DescribeCluster shows it; botocore's ClientError when there is none."""
        cluster: dict[str, Any] = self._moto("eks").describe_cluster(name=name)["cluster"]
        with self._lock:
            cluster["resourcesVpcConfig"].setdefault("clusterSecurityGroupId", self._security_groups.get(name, ""))
            cluster["resourcesVpcConfig"].setdefault("vpcId", self._vpcs.get(name, ""))
            cluster |= self._kept.get(name, {})
            if name in self._endpoints:
                endpoint, ca_pem = self._endpoints[name]
                cluster["endpoint"] = endpoint
                cluster["certificateAuthority"] = {"data": base64.b64encode(ca_pem).decode()}
        return cluster

    def _create(self, params: dict[str, Any]) -> dict[str, Any]:
        access = {"authenticationMode": "CONFIG_MAP", "bootstrapClusterCreatorAdminPermissions": True}
        access |= params.get("accessConfig", {})
        if access["authenticationMode"] == "CONFIG_MAP" and not access["bootstrapClusterCreatorAdminPermissions"]:
            raise AwsError(
                "InvalidParameterException", "bootstrapClusterCreatorAdminPermissions must be true if authenticationMode is CONFIG_MAP"
            )
        _check_auto_mode(params)
        network = _network(params.get("kubernetesNetworkConfig", {}))
        self._moto("eks").create_cluster(**{"version": NEWEST_VERSION, **params})
        kept = {name: params[name] for name in _KEPT if name in params}
        kept["accessConfig"] = access
        kept["kubernetesNetworkConfig"] = network
        # moto gives all clusters the same one, and IAM takes each only once.
        kept["identity"] = {"oidc": {"issuer": f"https://oidc.eks.us-east-1.amazonaws.com/id/{uuid.uuid4().hex.upper()}"}}
        kept.setdefault("upgradePolicy", {"supportType": "EXTENDED"})
        self._create_security_group(params["name"], params["resourcesVpcConfig"].get("subnetIds", []))
        with self._lock:
            self._kept[params["name"]] = kept
        return {"cluster": self.describe(params["name"])}

    def _create_security_group(self, cluster: str, subnet_ids: list[str]) -> None:
        """The group that EKS makes in the cluster's VPC, for the control plane and the nodes."""
        ec2 = self._moto("ec2")
        subnets = ec2.describe_subnets(Filters=[{"Name": "subnet-id", "Values": subnet_ids}])["Subnets"]
        if not subnets:  # moto takes clusters in subnets that it does not know
            return
        name = f"eks-cluster-sg-{cluster}-{uuid.uuid4().hex[:8]}"
        made = ec2.create_security_group(GroupName=name, Description="EKS created security group", VpcId=subnets[0]["VpcId"])
        with self._lock:
            self._security_groups[cluster] = made["GroupId"]
            self._vpcs[cluster] = subnets[0]["VpcId"]

    def _delete(self, params: dict[str, Any]) -> dict[str, Any]:
        name = params["name"]
        cluster = self.describe(name)
        if cluster.get("deletionProtection"):
            raise AwsError("InvalidRequestException", f"Cluster {name} has deletion protection enabled")
        self._moto("eks").delete_cluster(name=name)
        with self._lock:
            self._kept.pop(name, None)
        return {"cluster": {**cluster, "status": "DELETING"}}


def _check_auto_mode(params: dict[str, Any]) -> None:
    """What the API says of an Auto Mode that is not whole."""
    compute = params.get("computeConfig", {})
    parts = {
        compute.get("enabled", False),
        params.get("storageConfig", {}).get("blockStorage", {}).get("enabled", False),
        params.get("kubernetesNetworkConfig", {}).get("elasticLoadBalancing", {}).get("enabled", False),
    }
    if len(parts) > 1:
        raise AwsError(
            "InvalidParameterException",
            "For EKS Auto Mode, please ensure that all required configs, including computeConfig, kubernetesNetworkConfig, and"
            " blockStorage are all either fully enabled or fully disabled.",
        )
    if compute.get("nodeRoleArn") and not compute.get("nodePools"):
        raise AwsError(
            "InvalidParameterException", "When Compute Config nodeRoleArn is not null or empty, nodePool value(s) must be provided."
        )
    if compute.get("nodePools") and not compute.get("nodeRoleArn"):
        raise AwsError("InvalidParameterException", "When Compute Config nodeRoleArn is null or empty, nodePool list cannot be populated.")
    if compute.get("enabled", False) and params.get("bootstrapSelfManagedAddons", True):
        raise AwsError("InvalidParameterException", "bootstrapSelfManagedAddons must be false when EKS Auto Mode is enabled")


def _network(wanted: dict[str, Any]) -> dict[str, Any]:
    """The addresses of services, as EKS chooses them where nobody did."""
    if wanted.get("ipFamily", "ipv4") == "ipv4":
        return {"ipFamily": "ipv4", "serviceIpv4Cidr": "172.20.0.0/16", **wanted}
    if "serviceIpv4Cidr" in wanted:
        raise AwsError("InvalidParameterException", "Do not specify serviceIpv4Cidr if ipFamily is ipv6")
    return {**wanted, "serviceIpv6Cidr": "fd30:1c53:5f8a::/108"}
