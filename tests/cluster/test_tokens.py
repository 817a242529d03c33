"""Who may enter the test cluster with an AWS identity: what EKS admits, and nobody else."""

import base64
import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import boto3
import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SigningCredentials
from lightkube.codecs import from_dict
from lightkube.core.exceptions import ApiError
from lightkube.resources.core_v1 import ConfigMap, Node

from tests.cluster.aws_world import REGION, AwsWorld
from tests.cluster.binaries import Binaries
from tests.cluster.control_plane import ControlPlane, Parts
from tests.cluster.principals import ADMINISTRATOR, Credentials
from tests.cluster.token_webhook import TokenWebhook, utc_now
from tests.cluster.tokens import Identity, TokenAuthenticator, TokenRefused

pytestmark = pytest.mark.aws

CLUSTER = "eks-spot-managed-node-groups"
ADMITTED, STRANGER = "arn:aws:iam::123456789012:role/lambda/autoscaler", "arn:aws:iam::123456789012:role/stranger"


@pytest.fixture(scope="module")
def world() -> Iterator[AwsWorld]:
    """A cluster with an access entry for the role ``autoscaler``; a second role that Lambda may take has none."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    with AwsWorld() as account:
        iam, eks = account.client("iam"), account.client("eks")
        for name, path in (("autoscaler", "/lambda/"), ("stranger", "/")):
            document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
            iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=document)
        for name in (CLUSTER, "another"):
            eks.create_cluster(
                name=name,
                roleArn=STRANGER,
                resourcesVpcConfig={"subnetIds": ["subnet-0"]},
                accessConfig={"authenticationMode": "API"},
            )
        eks.create_access_entry(
            clusterName=CLUSTER,
            principalArn=ADMITTED,
            kubernetesGroups=["eks-autoscaling"],
            username="autoscaler:{{SessionName}}",
        )
        yield account


@pytest.fixture(scope="module")
def authenticator(world: AwsWorld) -> TokenAuthenticator:
    session = boto3.Session(ADMINISTRATOR.access_key, ADMINISTRATOR.secret_key, region_name=REGION)
    return TokenAuthenticator(world.url, CLUSTER, session, clock=utc_now)


def token(world: AwsWorld, role: str, cluster: str = CLUSTER) -> str:
    return encoded(presigned(world, world.credentials_of(role, session_name="scan@1"), cluster))


def presigned(world: AwsWorld, credentials: Credentials, cluster: str) -> str:
    headers = {"x-k8s-aws-id": cluster}
    request = AWSRequest("GET", f"{world.url}/?Action=GetCallerIdentity&Version=2011-06-15", headers=headers)
    keys = SigningCredentials(credentials.access_key, credentials.secret_key, credentials.session_token)
    SigV4QueryAuth(keys, "sts", REGION, expires=60).add_auth(request)
    assert isinstance(request.url, str)
    return request.url


def encoded(url: str) -> str:
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def test_a_role_with_an_access_entry_gets_the_entrys_user_and_groups(world: AwsWorld, authenticator: TokenAuthenticator) -> None:
    expected = Identity("autoscaler:scan-1", ("eks-autoscaling",), ADMITTED)
    assert authenticator.authenticate(token(world, ADMITTED)) == expected


def test_a_role_without_an_access_entry_is_refused(world: AwsWorld, authenticator: TokenAuthenticator) -> None:
    with pytest.raises(TokenRefused, match=r"no access entry of cluster .* names role stranger"):
        authenticator.authenticate(token(world, STRANGER))


def test_a_token_for_another_cluster_is_refused(world: AwsWorld, authenticator: TokenAuthenticator) -> None:
    with pytest.raises(TokenRefused, match="not for cluster eks-spot-managed-node-groups"):
        authenticator.authenticate(token(world, ADMITTED, cluster="another"))


def test_a_signature_of_a_key_that_sts_did_not_issue_is_refused(world: AwsWorld, authenticator: TokenAuthenticator) -> None:
    forged = Credentials("ASIAFORGEDFORGEDFORG", "secret", "token")
    with pytest.raises(TokenRefused, match="unknown access key"):
        authenticator.authenticate(encoded(presigned(world, forged, CLUSTER)))


def test_a_query_changed_after_signing_is_refused(world: AwsWorld, authenticator: TokenAuthenticator) -> None:
    url = presigned(world, world.credentials_of(ADMITTED), CLUSTER)
    with pytest.raises(TokenRefused, match="signature does not match"):
        authenticator.authenticate(encoded(url.replace("X-Amz-Expires=60", "X-Amz-Expires=900")))


def test_an_old_token_is_refused(world: AwsWorld) -> None:
    session = boto3.Session(ADMINISTRATOR.access_key, ADMINISTRATOR.secret_key, region_name=REGION)
    later = TokenAuthenticator(world.url, CLUSTER, session, clock=lambda: utc_now() + datetime.timedelta(minutes=15, seconds=1))
    with pytest.raises(TokenRefused, match="it counts for 0:15:00"):
        later.authenticate(token(world, ADMITTED))


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("Action=AssumeRole", "is not GetCallerIdentity"),
        ("Action=GetCallerIdentity&RoleArn=x", "unexpected or repeated"),
        ("Action=GetCallerIdentity&Action=GetCallerIdentity", "unexpected or repeated"),
    ],
)
def test_any_other_call_than_get_caller_identity_is_refused(
    world: AwsWorld, authenticator: TokenAuthenticator, query: str, reason: str
) -> None:
    url = presigned(world, world.credentials_of(ADMITTED), CLUSTER)
    wanted = url.replace("Action=GetCallerIdentity", query)
    with pytest.raises(TokenRefused, match=reason):
        authenticator.authenticate(encoded(wanted))


def test_a_signature_that_leaves_out_the_cluster_is_refused(world: AwsWorld, authenticator: TokenAuthenticator) -> None:
    parts = urlsplit(presigned(world, world.credentials_of(ADMITTED), CLUSTER))
    query = urlencode({**dict(parse_qsl(parts.query)), "X-Amz-SignedHeaders": "host"})
    with pytest.raises(TokenRefused, match="does not cover the header x-k8s-aws-id"):
        authenticator.authenticate(encoded(parts._replace(query=query).geturl()))


@pytest.mark.parametrize(
    ("malformed", "reason"),
    [
        ("k8s-aws-v2.abc", "does not start with"),
        ("k8s-aws-v1.%%%", "not base64url"),
        (encoded("http://[?Action=GetCallerIdentity"), "holds no URL"),
        (encoded("https://sts.amazonaws.com.evil.example/?Action=GetCallerIdentity"), "is no STS endpoint"),
        (encoded("https://sts.amazonaws.com/path?Action=GetCallerIdentity"), "unexpected path"),
        (encoded("https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity"), "query parameters missing"),
    ],
)
def test_a_malformed_token_is_refused(authenticator: TokenAuthenticator, malformed: str, reason: str) -> None:
    with pytest.raises(TokenRefused, match=reason):
        authenticator.authenticate(malformed)


@pytest.mark.control_plane
def test_kube_apiserver_gives_a_role_what_rbac_gives_its_groups(
    world: AwsWorld, authenticator: TokenAuthenticator, binaries: Binaries, tmp_path: Path
) -> None:
    parts = Parts(scheduler=False, controllers=False, kubelets=False)
    with TokenWebhook(authenticator) as webhook:
        kubeconfig = webhook.write_kubeconfig(tmp_path / "webhook")
        with ControlPlane(binaries, parts=parts, token_webhook=kubeconfig) as plane:
            _let_group_list_nodes(plane)
            with plane.client(token(world, ADMITTED)) as autoscaler:
                assert list(autoscaler.list(Node)) == []
                with pytest.raises(ApiError) as denied:
                    list(autoscaler.list(ConfigMap, namespace="kube-system"))
            with plane.client(token(world, STRANGER)) as stranger, pytest.raises(ApiError) as refused:
                list(stranger.list(Node))
    assert (denied.value.status.code, refused.value.status.code) == (403, 401)
    assert 'User "autoscaler:scan-1" cannot list resource "configmaps"' in str(denied.value)
    assert webhook.refusals == ["no access entry of cluster eks-spot-managed-node-groups names role stranger of account 123456789012"]


def _let_group_list_nodes(plane: ControlPlane) -> None:
    rbac, name = "rbac.authorization.k8s.io", "eks-autoscaling"
    role = {
        "apiVersion": f"{rbac}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}],
    }
    binding = {
        "apiVersion": f"{rbac}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": rbac, "kind": "Group", "name": name}],
    }
    with plane.client() as admin:
        admin.create(from_dict(role))
        admin.create(from_dict(binding))
