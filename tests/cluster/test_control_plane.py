"""The control plane of the end-to-end tests behaves as the one of an EKS cluster."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import lightkube
import pytest
import urllib3
from lightkube.core.exceptions import ApiError
from lightkube.models.authentication_v1 import TokenRequestSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Node, Pod, ServiceAccount, ServiceAccountToken

from tests.cluster import workloads
from tests.cluster.aws_world import REGION, AwsWorld
from tests.cluster.binaries import Binaries
from tests.cluster.control_plane import ControlPlane, Parts
from tests.cluster.nodes import NodeJoiner
from tests.cluster.principals import ADMINISTRATOR
from tests.cluster.processes import ComponentFailed
from tests.cluster.waiting import wait_for

pytestmark = pytest.mark.control_plane

CLUSTER = "eks-spot-managed-node-groups"


@pytest.fixture(scope="module")
def world() -> Iterator[AwsWorld]:
    with AwsWorld() as account:
        yield account


@pytest.fixture(scope="module")
def spot_group(world: AwsWorld) -> str:
    """A managed spot node group with no nodes; returns the name of its Auto Scaling group."""
    ec2, eks = world.client("ec2"), world.client("eks")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    zone = {"AvailabilityZone": "us-east-1a", "CidrBlock": "10.0.0.0/18"}
    subnet = ec2.create_subnet(VpcId=vpc, **zone)["Subnet"]["SubnetId"]
    role = world.client("iam").create_role(RoleName="nodes", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    eks.create_cluster(name=CLUSTER, roleArn=role, resourcesVpcConfig={"subnetIds": [subnet]})
    eks.create_nodegroup(
        clusterName=CLUSTER,
        nodegroupName="spot-4vcpu-16gb",
        subnets=[subnet],
        nodeRole=role,
        capacityType="SPOT",
        instanceTypes=["m5.xlarge", "m4.xlarge"],
        scalingConfig={"minSize": 0, "maxSize": 20, "desiredSize": 0},
        labels={"team": "web"},
        taints=[{"key": "flaky", "value": "yes", "effect": "PREFER_NO_SCHEDULE"}],
    )
    described = eks.describe_nodegroup(clusterName=CLUSTER, nodegroupName="spot-4vcpu-16gb")
    return str(described["nodegroup"]["resources"]["autoScalingGroups"][0]["name"])


@pytest.fixture
def joiner(admin: lightkube.Client, world: AwsWorld, spot_group: str) -> Iterator[NodeJoiner]:
    session = boto3.Session(ADMINISTRATOR.access_key, ADMINISTRATOR.secret_key, region_name=REGION)
    with NodeJoiner(admin, session, world.url, CLUSTER) as running:
        yield running
        resize(world, spot_group, 0)
        workloads.wait_for_ready_nodes(admin, 0)


def resize(world: AwsWorld, group: str, size: int) -> None:
    world.client("autoscaling").set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=size)


def test_the_api_server_answers_clients_that_trust_only_its_own_authority(control_plane: ControlPlane) -> None:
    authority = control_plane.folder / "only-authority.crt"
    authority.write_bytes(control_plane.ca_pem)
    headers = {"Authorization": f"Bearer {control_plane.admin_token}"}
    with urllib3.PoolManager(ca_certs=str(authority), retries=False) as http:
        answer = http.request("GET", f"{control_plane.endpoint}/version", headers=headers)
    assert answer.json()["gitVersion"] == "v1.34.4"
    with (
        urllib3.PoolManager(retries=False) as distrusting,
        pytest.raises(urllib3.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        distrusting.request("GET", f"{control_plane.endpoint}/version", headers=headers)


def test_an_unknown_token_is_refused(control_plane: ControlPlane) -> None:
    with control_plane.client(token="nobody") as stranger, pytest.raises(ApiError) as refused:
        list(stranger.list(Node))
    assert refused.value.status.code == 401


def test_rbac_denies_an_identity_without_permissions(control_plane: ControlPlane, admin: lightkube.Client) -> None:
    admin.create(ServiceAccount(metadata=ObjectMeta(name="bystander", namespace="default")))
    request = ServiceAccountToken(metadata=ObjectMeta(), spec=TokenRequestSpec(audiences=["https://kubernetes.default.svc"]))
    token = admin.create(request, "bystander", namespace="default").status
    assert token is not None
    with control_plane.client(token=token.token) as bystander, pytest.raises(ApiError) as refused:
        list(bystander.list(Node))
    assert refused.value.status.code == 403
    assert "system:serviceaccount:default:bystander" in str(refused.value)


def test_a_four_vcpu_node_takes_three_pods_of_one_cpu_beside_the_daemon_sets(
    admin: lightkube.Client, joiner: NodeJoiner, world: AwsWorld, spot_group: str
) -> None:
    resize(world, spot_group, 1)
    workloads.wait_for_ready_nodes(admin, 1)
    workloads.create_eks_daemon_sets(admin)
    wait_for("the daemon pods", lambda: _running_daemons(admin), lambda seen: seen == 2, 30)
    workloads.create_spot_demo(admin, replicas=2)
    workloads.wait_for_running(admin, 2)
    workloads.scale(admin, 5)
    workloads.wait_for_running(admin, 3)
    workloads.wait_for_unschedulable(admin, 2)
    resize(world, spot_group, 2)
    workloads.wait_for_running(admin, 5)


def _running_daemons(admin: lightkube.Client) -> int:
    pods = admin.list(Pod, namespace="kube-system", fields={"status.phase": "Running"})
    return sum(1 for _ in pods)


def test_a_node_mirrors_its_instance_and_its_group(admin: lightkube.Client, joiner: NodeJoiner, world: AwsWorld, spot_group: str) -> None:
    resize(world, spot_group, 1)
    workloads.wait_for_ready_nodes(admin, 1)
    ((instance_id, name),) = joiner.nodes.items()
    node = admin.get(Node, name).to_dict()
    assert node["spec"]["providerID"] == f"aws:///us-east-1a/{instance_id}"
    assert name.endswith(".ec2.internal")
    assert {
        "eks.amazonaws.com/capacityType": "SPOT",
        "eks.amazonaws.com/nodegroup": "spot-4vcpu-16gb",
        "node.kubernetes.io/instance-type": "m5.xlarge",
        "team": "web",
        "topology.kubernetes.io/zone": "us-east-1a",
    }.items() <= node["metadata"]["labels"].items()
    assert {"key": "flaky", "value": "yes", "effect": "PreferNoSchedule"} in node["spec"]["taints"]
    assert node["status"]["allocatable"] == {
        "cpu": "3920m",
        "memory": "15025Mi",
        "ephemeral-storage": "76224326324",
        "pods": "58",
    }


def test_the_node_of_a_terminated_instance_goes_and_the_others_stay(
    admin: lightkube.Client, joiner: NodeJoiner, world: AwsWorld, spot_group: str
) -> None:
    resize(world, spot_group, 2)
    workloads.wait_for_ready_nodes(admin, 2)
    terminated, kept = sorted(joiner.nodes)
    kept_name = joiner.nodes[kept]
    world.client("autoscaling").terminate_instance_in_auto_scaling_group(InstanceId=terminated, ShouldDecrementDesiredCapacity=True)
    workloads.wait_for_ready_nodes(admin, 1)
    assert [node.metadata.name for node in admin.list(Node) if node.metadata] == [kept_name]


def test_joins_can_fail_be_late_and_be_lost(admin: lightkube.Client, joiner: NodeJoiner, world: AwsWorld, spot_group: str) -> None:
    joiner.fail_joins(1)
    resize(world, spot_group, 2)
    workloads.wait_for_ready_nodes(admin, 1)
    joiner.delay_joins(3.0)
    resize(world, spot_group, 3)
    with pytest.raises(TimeoutError):
        workloads.wait_for_ready_nodes(admin, 2, seconds=2.0)
    workloads.wait_for_ready_nodes(admin, 2)
    lost = joiner.lose(min(joiner.nodes))
    workloads.wait_for_ready_nodes(admin, 1)
    assert lost not in joiner.nodes.values()


def test_a_component_that_fails_shows_the_end_of_its_log(binaries: Binaries, tmp_path: Path) -> None:
    webhook = tmp_path / "webhook"
    webhook.write_text("not a kubeconfig")
    plane = ControlPlane(binaries, parts=Parts(False, False, False), token_webhook=webhook, folder=tmp_path)
    with pytest.raises(ComponentFailed, match=r"(?s)kube-apiserver ended with code 1.*cannot unmarshal"), plane:
        pass


def test_nothing_outlives_a_terminated_owner(binaries: Binaries, tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\n"
        "from tests.cluster.binaries import build\n"
        "from tests.cluster.control_plane import ControlPlane, Parts\n"
        "with ControlPlane(build(), parts=Parts(False, False, False), folder=pathlib.Path(sys.argv[1])):\n"
        "    print('up', flush=True)\n"
        "    time.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        owner.send_signal(signal.SIGTERM)
        assert owner.wait(10) == -signal.SIGTERM
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path / "etcd") not in listed
