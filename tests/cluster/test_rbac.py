"""What the functions may do in a real API server: all that they do, and nothing that nobody would miss.

The functions' own clients, with credentials of the declared roles, let in by the declared access entries, under the declared RBAC.
"""

import contextlib
import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import lightkube
import pulumi
import pulumi_kubernetes as kubernetes
import pytest
from lightkube.codecs import from_dict
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace

from eks_autoscaling import Autoscaler, Cluster, SelfManagedNodeGroup, rbac
from lambda_autoscaler.edge.kube_auth import EksToken
from lambda_autoscaler.edge.kube_http import Connection, KubeHttp, trusting
from tests.cluster import kubernetes_operations
from tests.cluster.aws_world import REGION, AwsWorld
from tests.cluster.binaries import Binaries
from tests.cluster.control_plane import ControlPlane, Parts
from tests.cluster.kubernetes_operations import Operation, interruption_operations, refusals, scan_operations
from tests.cluster.principals import ACCOUNT, ADMINISTRATOR
from tests.cluster.pulumi_mocks import Deployment, deploy
from tests.cluster.token_webhook import TokenWebhook, utc_now
from tests.cluster.tokens import TokenAuthenticator, TokenRefused
from tests.cluster.waiting import wait_for

pytestmark = pytest.mark.control_plane

CLUSTERS = ("prod", "test")
SECONDS = 20.0
MOVED = {"namespace": "scaling", "status": "status"}


def program(subnets: list[str]) -> None:
    """One autoscaler for two clusters, and nodes that join the first one by themselves."""
    admins: dict[str, pulumi.Input[str]] = {"team": f"arn:aws:iam::{ACCOUNT}:user/administrator"}
    clusters = [Cluster(name, {"subnet_ids": subnets, "admins": admins}) for name in CLUSTERS]
    first, second = (kubernetes.Provider(name, kubeconfig=cluster.kubeconfig) for name, cluster in zip(CLUSTERS, clusters, strict=True))
    archive = pulumi.AssetArchive({"lambda_autoscaler/handler.py": pulumi.StringAsset("")})
    autoscaler = Autoscaler(
        "autoscaler",
        {
            "cluster": clusters[0].ref(),
            "fleet": {"test": {"cluster": clusters[1].ref(), "kubernetes_provider": second}},
            "kubernetes_provider": first,
            "code": archive,
        },
    )
    nodes = SelfManagedNodeGroup(
        "nodes",
        {
            "cluster": clusters[0].ref(),
            "capacity_type": "ON_DEMAND",
            "instance_types": ["m5.large"],
            "subnet_ids": subnets[:1],
            "min_size": 1,
            "max_size": 2,
            "ami_id": "ami-12c6146b",
        },
    )
    pulumi.export("roles", {"scan": autoscaler.role_arn, "interruption": autoscaler.interruption_role_arn, "nodes": nodes.node_role_arn})
    pulumi.export("group", nodes.auto_scaling_group_name)


# --- The place --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """An API server that believes the world's identities, and what was declared for it."""

    world: AwsWorld
    plane: ControlPlane
    admin: lightkube.Client
    deployment: Deployment

    @property
    def administrator(self) -> KubeHttp:
        """HTTP without limits."""
        return KubeHttp(Connection(self.plane.endpoint, lambda _renew: self.plane.admin_token, trusting(self.plane.ca_pem)))

    def http(self, function: str) -> KubeHttp:
        """HTTP as ``function`` has it: with a token of its role."""
        credentials = self.world.credentials_of(self.deployment.outputs["roles"][function], session_name=function)
        token = EksToken(self.world.client("sts", credentials), CLUSTERS[0])
        return KubeHttp(Connection(self.plane.endpoint, token, trusting(self.plane.ca_pem)))


@pytest.fixture(scope="module")
def world() -> Iterator[AwsWorld]:
    with AwsWorld() as running:
        yield running


@pytest.fixture(scope="module")
def place(world: AwsWorld, binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    subnets = [subnet["SubnetId"] for subnet in world.client("ec2").describe_subnets()["Subnets"]]
    deployment = deploy(lambda: program(subnets), {}, world)
    with contextlib.ExitStack() as resources:
        webhook = resources.enter_context(TokenWebhook(authenticator(world, CLUSTERS[0])))
        folder: Path = tmp_path_factory.mktemp("webhook")
        parts = Parts(scheduler=False, controllers=False, kubelets=False)
        plane = resources.enter_context(ControlPlane(binaries, parts=parts, token_webhook=webhook.write_kubeconfig(folder / "config")))
        admin = resources.enter_context(plane.client())
        for manifest in declared(deployment):
            admin.create(from_dict(manifest))
        yield Place(world, plane, admin, deployment)


def authenticator(world: AwsWorld, cluster: str) -> TokenAuthenticator:
    session = boto3.Session(ADMINISTRATOR.access_key, ADMINISTRATOR.secret_key, region_name=REGION)
    return TokenAuthenticator(world.url, cluster, session, clock=utc_now)


def declared(deployment: Deployment) -> list[dict[str, Any]]:
    """The manifests that each of the clusters got."""
    found: list[dict[str, Any]] = []
    for manifest in deployment.manifests:
        if manifest not in found:
            found.append(manifest)
    assert all(deployment.manifests.count(manifest) == len(CLUSTERS) for manifest in found)
    return found


def asked(place: Place, function: str, **where: str) -> Callable[[], list[str]]:
    """A look at what the API server refuses the function at the moment."""
    http = place.http(function)

    def look() -> list[str]:
        kubernetes_operations.forget(place.administrator, **where)
        return refusals(operations(function, http, **where))

    return look


def operations(function: str, http: KubeHttp, **where: str) -> list[Operation]:
    return scan_operations(http, **where) if function == "scan" else interruption_operations(http)


# --- RBAC -------------------------------------------------------------------------------------------------

OF_FUNCTION = {"scan": rbac.manifests(), "interruption": rbac.interruption_manifests()}


@dataclass(frozen=True)
class Permission:
    """One verb on one resource, by name where the rule has names, of a (Cluster)Role of ``function``."""

    function: str
    kind: str
    group: str
    resource: str
    verb: str
    name: str

    def __str__(self) -> str:
        return "-".join(filter(None, (self.function, self.verb, self.resource.replace("/", "."), self.name)))

    @property
    def rule(self) -> dict[str, Any]:
        names = {"resourceNames": [self.name]} if self.name else {}
        return {"apiGroups": [self.group], "resources": [self.resource], "verbs": [self.verb], **names}

    def is_missed_in(self, refusal: str) -> bool:
        """Whether this permission is what the API server wanted."""
        wanted = f'cannot {self.verb} resource "{self.resource}" in API group "{self.group}"'
        return wanted in refusal and (not self.name or f'"{self.name}" is forbidden' in refusal)


def permissions(function: str, manifest: dict[str, Any]) -> list[Permission]:
    return [
        Permission(function, manifest["kind"], group, resource, verb, name)
        for rule in manifest.get("rules", [])
        for group, resource, verb, name in itertools.product(
            rule["apiGroups"], rule["resources"], rule["verbs"], rule.get("resourceNames", [""])
        )
    ]


PERMISSIONS = [
    permission for function, found in OF_FUNCTION.items() for manifest in found for permission in permissions(function, manifest)
]
OBJECTS = [(function, manifest) for function, found in OF_FUNCTION.items() for manifest in found]


@contextlib.contextmanager
def role_without(place: Place, missing: Permission) -> Iterator[None]:
    """The role that grants the permission, for a while with all but that."""
    (manifest,) = (found for found in OF_FUNCTION[missing.function] if found["kind"] == missing.kind)
    rest = [permission.rule for permission in permissions(missing.function, manifest) if permission != missing]
    place.admin.replace(from_dict({**copy.deepcopy(manifest), "rules": rest}))
    try:
        yield
    finally:
        place.admin.replace(from_dict(copy.deepcopy(manifest)))


def test_no_permission_is_declared_twice() -> None:
    assert len(set(PERMISSIONS)) == len(PERMISSIONS)


def test_both_clusters_get_the_rbac_of_both_functions(place: Place) -> None:
    found = [manifest for manifest in declared(place.deployment) if manifest["apiVersion"].startswith("rbac.")]
    wanted = [*OF_FUNCTION["scan"], *OF_FUNCTION["interruption"]]
    assert sorted(found, key=_kind_and_name) == sorted(wanted, key=_kind_and_name)


def _kind_and_name(manifest: dict[str, Any]) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


@pytest.mark.parametrize("function", OF_FUNCTION)
def test_a_function_may_do_all_that_it_does(place: Place, function: str) -> None:
    wait_for("RBAC to allow everything", asked(place, function), lambda refused: refused == [], SECONDS)


@pytest.mark.parametrize("missing", PERMISSIONS, ids=str)
def test_without_a_permission_exactly_what_it_is_for_is_refused(place: Place, missing: Permission) -> None:
    with role_without(place, missing):
        wait_for(
            f"a refusal for want of {missing}",
            asked(place, missing.function),
            lambda refused: refused != [] and all(missing.is_missed_in(one) for one in refused),
            SECONDS,
        )


@pytest.mark.parametrize(("function", "manifest"), OBJECTS, ids=[f"{function}-{found['kind']}" for function, found in OBJECTS])
def test_without_a_role_or_binding_the_function_is_refused(place: Place, function: str, manifest: dict[str, Any]) -> None:
    kind: Any = type(from_dict(copy.deepcopy(manifest)))
    metadata = manifest["metadata"]
    look = asked(place, function)
    wait_for("RBAC to allow everything", look, lambda refused: refused == [], SECONDS)
    place.admin.delete(kind, metadata["name"], namespace=metadata.get("namespace"))
    try:
        wait_for(f"refusals without the {manifest['kind']}", look, lambda refused: refused != [], SECONDS)
    finally:
        place.admin.create(from_dict(copy.deepcopy(manifest)))


def test_the_scan_may_do_as_much_where_settings_move_its_objects(place: Place) -> None:
    moved = [found for found in rbac.manifests(MOVED["namespace"], MOVED["status"]) if found["kind"] in ("Role", "RoleBinding")]
    look = asked(place, "scan", **MOVED)
    place.admin.create(Namespace(metadata=ObjectMeta(name=MOVED["namespace"])))
    assert {"leases", "configmaps"} <= {resource for resource in ("leases", "configmaps") if resource in "".join(look())}
    for manifest in moved:
        place.admin.create(from_dict(manifest))
    wait_for("RBAC to allow everything", look, lambda refused: refused == [], SECONDS)


# --- Access entries ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def without_entry(place: Place, role: str) -> Iterator[None]:
    """The first cluster without the access entry of one of the roles, for a while."""
    eks = place.world.client("eks")
    wanted = {"clusterName": CLUSTERS[0], "principalArn": place.deployment.outputs["roles"][role]}
    entry = eks.describe_access_entry(**wanted)["accessEntry"]
    own = {"username": entry["username"], "kubernetesGroups": entry["kubernetesGroups"]} if entry["type"] == "STANDARD" else {}
    eks.delete_access_entry(**wanted)
    try:
        yield
    finally:
        eks.create_access_entry(**wanted, type=entry["type"], **own)


@pytest.mark.parametrize("function", OF_FUNCTION)
def test_without_its_access_entry_a_function_is_nobody(place: Place, function: str) -> None:
    def look() -> list[str]:
        # A token of its own each time: the API server believes one that it knows for ten seconds.
        found = operations(function, place.http(function))
        return refusals([one for one in found if (one.method, one.about) == ("list", "nodes")])

    wait_for("nodes to be shown", look, lambda refused: refused == [], SECONDS)
    with without_entry(place, function):
        wait_for("no caller", look, lambda refused: "give its IAM role an access entry" in "".join(refused), SECONDS)


def test_nodes_of_a_self_managed_group_are_nodes_by_their_access_entry_alone(place: Place) -> None:
    autoscaling, outputs = place.world.client("autoscaling"), place.deployment.outputs
    (group,) = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[outputs["group"]])["AutoScalingGroups"]
    instance = group["Instances"][0]["InstanceId"]
    described = place.world.client("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    credentials = place.world.credentials_of(outputs["roles"]["nodes"], "ec2.amazonaws.com", session_name=instance)
    token, entries = EksToken(place.world.client("sts", credentials), CLUSTERS[0])(), authenticator(place.world, CLUSTERS[0])
    identity = entries.authenticate(token)
    assert (identity.username, identity.groups) == (f"system:node:{described['PrivateDnsName']}", ("system:nodes",))
    with without_entry(place, "nodes"), pytest.raises(TokenRefused, match="no access entry"):
        entries.authenticate(token)


def test_each_cluster_lets_in_the_roles_that_belong_there_and_no_other(place: Place) -> None:
    eks, roles = place.world.client("eks"), place.deployment.outputs["roles"]
    admin = f"arn:aws:iam::{ACCOUNT}:user/administrator"
    entries = {cluster: set(eks.list_access_entries(clusterName=cluster)["accessEntries"]) for cluster in CLUSTERS}
    assert entries == {"prod": {admin, *roles.values()}, "test": {admin, roles["scan"], roles["interruption"]}}
