"""EKS Auto Mode: whole or not at all, with the roles that it needs, and no add-ons that its nodes bring along."""

from typing import Any

import pulumi
import pytest

from eks_autoscaling import AddOns, AutoMode, Cluster, NodeAddOns
from eks_autoscaling.misuse import ArgumentError
from tests.cluster.aws_world import AwsWorld
from tests.cluster.principals import ACCOUNT
from tests.cluster.pulumi_mocks import Deployment, deploy, preview
from tests.components import programs
from tests.components.programs import REF

EKS_CLUSTER = "aws:eks/cluster:Cluster"
ADD_ON = "aws:eks/addon:Addon"
ENTRY = "aws:eks/accessEntry:AccessEntry"
ARN = f"arn:aws:iam::{ACCOUNT}:role/nodes"


def policies_of(world: AwsWorld, role_arn: str) -> set[str]:
    attached = world.client("iam").list_attached_role_policies(RoleName=role_arn.rpartition("/")[2])["AttachedPolicies"]
    return {policy["PolicyName"] for policy in attached}


# --- Deployed ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deployed(world: AwsWorld) -> Deployment:
    return deploy(_program, {}, world)


def _program() -> None:
    modes: dict[str, AutoMode] = {"built-in": {}, "own": {"node_pools": []}, "off": {"enabled": False}}
    for name, mode in modes.items():
        admins: dict[str, pulumi.Input[str]] = {"team": f"arn:aws:iam::{ACCOUNT}:user/administrator"}
        cluster = Cluster(name, {"subnet_ids": ["subnet-1", "subnet-2"], "admins": admins, "auto_mode": mode})
        pulumi.export(name, {"role": cluster.role_arn, "nodes": cluster.auto_mode_node_role_arn})


@pytest.mark.aws
def test_compute_storage_and_load_balancing_are_switched_on_together(world: AwsWorld, deployed: Deployment) -> None:
    cluster = world.client("eks").describe_cluster(name="built-in")["cluster"]
    pools = {"nodePools": ["general-purpose", "system"], "nodeRoleArn": deployed.outputs["built-in"]["nodes"]}
    assert cluster["computeConfig"] == {"enabled": True, **pools}
    assert cluster["storageConfig"] == {"blockStorage": {"enabled": True}}
    assert cluster["kubernetesNetworkConfig"]["elasticLoadBalancing"] == {"enabled": True}


@pytest.mark.aws
def test_they_are_switched_off_together_and_the_roles_stay_for_it(world: AwsWorld, deployed: Deployment) -> None:
    cluster = world.client("eks").describe_cluster(name="off")["cluster"]
    assert cluster["computeConfig"] == {"enabled": False}
    assert cluster["storageConfig"] == {"blockStorage": {"enabled": False}}
    assert cluster["kubernetesNetworkConfig"]["elasticLoadBalancing"] == {"enabled": False}
    assert policies_of(world, deployed.outputs["off"]["role"]) == policies_of(world, deployed.outputs["built-in"]["role"])


@pytest.mark.aws
def test_the_roles_have_the_policies_of_auto_mode(world: AwsWorld, deployed: Deployment) -> None:
    roles = deployed.outputs["built-in"]
    assert policies_of(world, roles["role"]) == {
        *("AmazonEKSClusterPolicy", "AmazonEKSComputePolicy", "AmazonEKSBlockStoragePolicy"),
        *("AmazonEKSLoadBalancingPolicy", "AmazonEKSNetworkingPolicy"),
    }
    assert policies_of(world, roles["nodes"]) == {"AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly"}


@pytest.mark.aws
def test_nodes_of_node_pools_of_ones_own_are_let_in_and_eks_lets_its_own_in(world: AwsWorld, deployed: Deployment) -> None:
    eks = world.client("eks")
    assert eks.describe_cluster(name="own")["cluster"]["computeConfig"] == {"enabled": True}
    for cluster in ("own", "built-in"):
        entry = eks.describe_access_entry(clusterName=cluster, principalArn=deployed.outputs[cluster]["nodes"])["accessEntry"]
        assert entry["type"] == "EC2"
    where = {"clusterName": "own", "principalArn": deployed.outputs["own"]["nodes"]}
    (policy,) = eks.list_associated_access_policies(**where)["associatedAccessPolicies"]
    assert policy["policyArn"].endswith("/AmazonEKSAutoNodePolicy")
    assert [entry.name for entry in deployed.of_type(ENTRY) if "auto-node" in entry.name] == ["own-auto-node"]


# --- Previewed --------------------------------------------------------------------------------------------


def test_the_cluster_waits_for_the_policies_of_both_roles_and_starts_without_add_ons() -> None:
    deployment = programs.cluster(auto_mode={})
    cluster = deployment.one(EKS_CLUSTER)
    attachments = {one.urn for one in deployment.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")}
    assert len(attachments) == 7
    assert attachments <= set(cluster.options.depends_on)
    assert cluster.inputs["bootstrapSelfManagedAddons"] is False


def test_a_cluster_that_is_there_is_not_made_anew_for_auto_mode() -> None:
    cases: list[dict[str, Any]] = [{}, {"auto_mode": {}}]
    for arguments in cases:
        assert programs.cluster(**arguments).one(EKS_CLUSTER).options.ignore_changes == ("bootstrapSelfManagedAddons",)


def test_a_role_of_ones_own_takes_the_place_of_a_new_one() -> None:
    deployment = programs.cluster(auto_mode={"node_role_arn": ARN, "node_pools": ["system"]})
    assert deployment.one(EKS_CLUSTER).inputs["computeConfig"] == {"enabled": True, "nodePools": ["system"], "nodeRoleArn": ARN}
    assert [role.name for role in deployment.of_type("aws:iam/role:Role")] == ["prod-cluster"]


def test_without_auto_mode_nothing_is_said_of_it() -> None:
    inputs = programs.cluster().one(EKS_CLUSTER).inputs
    assert not {"computeConfig", "storageConfig", "kubernetesNetworkConfig"} & set(inputs)


def test_add_ons_that_nodes_bring_along_are_left_out_or_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    def names(program: Any) -> set[str]:
        return {add_on.inputs["addonName"] for add_on in preview(program, {}).of_type(ADD_ON)}

    assert names(lambda: AddOns("shop", {"cluster": {**REF, "auto_mode": True}, "metrics_server": True})) == {"metrics-server"}
    assert caplog.messages == []
    assert names(lambda: AddOns("shop", {"cluster": {**REF, "auto_mode": True}, "coredns": True})) == {"coredns"}
    assert "bring along what coredns do" in caplog.messages[-1]
    assert "vpc-cni" in names(lambda: NodeAddOns("shop", {"cluster": {**REF, "auto_mode": True}}))
    assert "vpc-cni, kube-proxy, eks-pod-identity-agent" in caplog.messages[-1]


def test_a_cluster_says_of_itself_whether_auto_mode_is_on() -> None:
    said: dict[str, Any] = {}

    def program() -> None:
        modes: dict[str, Any] = {"plain": {}, "auto": {"auto_mode": {}}, "off": {"auto_mode": {"enabled": False}}}
        for name, mode in modes.items():
            arguments: Any = {"subnet_ids": ["subnet-1", "subnet-2"], "admins": {"team": ARN}, **mode}
            said[name] = Cluster(name, arguments).ref()

    preview(program, {})
    assert {name: ref.get("auto_mode", False) for name, ref in said.items()} == {"plain": False, "auto": True, "off": False}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"auto_mode": {"node_pools": ["gpu"]}}, r"auto_mode.node_pools is \['gpu'\]: EKS makes general-purpose and system"),
        ({"auto_mode": {}, "bootstrap_add_ons": True}, "bootstrap_add_ons is True: leave it out: with auto_mode EKS installs none"),
        ({"auto_mode": {"node_pools": []}, "admins": {"auto-node": ARN}}, "access_entries is 'auto-node': choose another name"),
        ({"auto_mode": {}, "version": "1.28"}, r"version is '1\.28': auto_mode needs Kubernetes 1\.29 or later"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        programs.cluster(**arguments)


def test_a_name_that_leaves_no_room_for_the_nodes_role_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"name is 'x+': use at most"):
        preview(lambda: Cluster("x" * 50, {"subnet_ids": ["a", "b"], "admins": {"team": ARN}, "auto_mode": {}}), {})
