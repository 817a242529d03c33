"""How the autoscaler proves to an EKS cluster who it is.

An EKS token is a presigned STS GetCallerIdentity URL with the cluster's name in the signed header ``x-k8s-aws-id``, in unpadded URL-safe
base64 behind ``k8s-aws-v1.`` (the format of aws-iam-authenticator). Signing is local: the cluster calls STS, not this side. It accepts a
token for 15 minutes; a new one is made after ten, by the wall clock: a monotonic one may stand still while a container is frozen.
"""

import base64
import ssl
import time
from collections.abc import Callable
from typing import Any, Final

import botocore.exceptions
import msgspec

from lambda_autoscaler.core.amazon import ClusterAnswer, EksCluster
from lambda_autoscaler.edge.kube_http import Connection, trusting
from lambda_autoscaler.ports import BadInput

TOKEN_PREFIX: Final = "k8s-aws-v1."  # noqa: S105 - the public prefix of every EKS token
CLUSTER_HEADER: Final = "x-k8s-aws-id"
PRESIGNED_SECONDS: Final = 60
RENEW_AFTER_SECONDS: Final = 600.0


class EksToken:
    """Bearer tokens for one cluster, signed with the credentials of an STS client (its endpoint is honoured)."""

    def __init__(self, sts: Any, cluster_name: str, clock: Callable[[], float] = time.time) -> None:  # noqa: TID251 - an edge
        self._sts = sts
        self._clock = clock
        self._token = ""
        self._signed_at = 0.0
        sts.meta.events.register("provide-client-params.sts.GetCallerIdentity", _keep_cluster)
        sts.meta.events.register("before-sign.sts.GetCallerIdentity", _sign_cluster)
        self._cluster_name = cluster_name

    def __call__(self, renew: bool = False) -> str:
        """The token, a new one when it is older than ten minutes or ``renew`` asks for one. Raises BadInput without AWS credentials."""
        if renew or not self._token or self._clock() - self._signed_at >= RENEW_AFTER_SECONDS:
            self._token = self._sign()
            self._signed_at = self._clock()
        return self._token

    def _sign(self) -> str:
        try:
            url = self._sts.generate_presigned_url(
                "get_caller_identity", Params={CLUSTER_HEADER: self._cluster_name}, ExpiresIn=PRESIGNED_SECONDS, HttpMethod="GET"
            )
        except botocore.exceptions.NoCredentialsError as fault:
            raise BadInput("no AWS credentials: set a profile (AWS_PROFILE) or keys, or run where a role is attached") from fault
        return TOKEN_PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def _keep_cluster(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    """Move the cluster's name out of the operation's parameters, which do not know it, before they are validated."""
    if CLUSTER_HEADER in params:
        context[CLUSTER_HEADER] = params.pop(CLUSTER_HEADER)


def _sign_cluster(request: Any, **_: Any) -> None:
    """Put the cluster's name among the signed headers."""
    cluster = request.context.get(CLUSTER_HEADER)
    if cluster:
        request.headers[CLUSTER_HEADER] = cluster


def eks_connection(describe_cluster: bytes, token: Callable[[bool], str]) -> Connection:
    """Connection to the cluster that an eks:DescribeCluster answer describes. Raises BadInput when it has no endpoint yet."""
    try:
        cluster = msgspec.json.decode(describe_cluster, type=ClusterAnswer).cluster
    except msgspec.DecodeError as fault:
        raise BadInput(f"the answer of eks:DescribeCluster cannot be read: {fault}") from fault
    if not cluster.endpoint:
        raise BadInput(f"EKS cluster {cluster.name} has no API endpoint: it is {cluster.status or 'not ready'}")
    return Connection(server=cluster.endpoint, token=token, tls=_tls(cluster), origin=f"EKS cluster {cluster.name}")


def _tls(cluster: EksCluster) -> ssl.SSLContext | None:
    if not cluster.endpoint.startswith("https:"):
        return None
    try:
        return trusting(base64.b64decode(cluster.certificate_authority.data) or None)
    except (ValueError, ssl.SSLError) as fault:
        raise BadInput(f"the certificate authority of EKS cluster {cluster.name} is not a PEM certificate in base64: {fault}") from fault
