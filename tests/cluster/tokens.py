"""Authentication as on EKS: a TokenReview webhook that turns an AWS identity into a Kubernetes one.

A bearer token is ``k8s-aws-v1.`` and the unpadded base64url of a presigned STS GetCallerIdentity URL whose signature
covers the header ``x-k8s-aws-id``, the cluster's name. The webhook repeats that call against the STS of the AWS the
test runs on, and finds user name and groups in the access entry of the role that STS names.
Format and refusals: https://github.com/kubernetes-sigs/aws-iam-authenticator (API Authorization from Outside a
Cluster); access entries: https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html
"""

import base64
import binascii
import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit
from xml.etree import ElementTree as ET

import boto3
import urllib3

from tests.cluster.signatures import secret_issued_by_moto, signature_matches

_PREFIX = "k8s-aws-v1."
_CLUSTER_HEADER = "x-k8s-aws-id"
# Everything GetCallerIdentity and a presigned URL need; STS would run any other action as willingly.
_PARAMETERS = {"Action", "Version", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires"}
_PARAMETERS |= {"X-Amz-Security-Token", "X-Amz-Signature", "X-Amz-SignedHeaders"}
_REQUIRED = _PARAMETERS - {"X-Amz-Security-Token", "X-Amz-Expires"}
_NODE_NAME = "{{EC2PrivateDNSName}}"
_LIFETIME = datetime.timedelta(minutes=15)
_STS_HOST = re.compile(r"sts(\.[a-z0-9-]+)?\.amazonaws\.com")
_ASSUMED_ROLE = re.compile(r"arn:(?P<partition>[\w-]+):sts::(?P<account>\d{12}):assumed-role/(?P<role>[^/]+)/(?P<session>.+)")


class TokenRefused(Exception):
    """The token proves no identity that may enter this cluster; the message says why."""


@dataclass(frozen=True)
class Identity:
    """A Kubernetes user as an access entry names it."""

    username: str
    groups: tuple[str, ...]
    role_arn: str


class TokenAuthenticator:
    """Resolves EKS tokens for one cluster against the AWS at ``aws_url``.

    ``session`` holds credentials that may read access entries; ``clock`` gives the time in UTC; ``secret_of`` gives
    the secret of an access key id, for the signature check that moto's STS leaves out (None: unknown key).
    """

    def __init__(
        self,
        aws_url: str,
        cluster_name: str,
        session: boto3.Session,
        *,
        clock: Callable[[], datetime.datetime],
        secret_of: Callable[[str], str | None] = secret_issued_by_moto,
    ) -> None:
        self._aws_url = aws_url.rstrip("/")
        self._cluster_name = cluster_name
        self._eks = session.client("eks", endpoint_url=aws_url)
        self._ec2 = session.client("ec2", endpoint_url=aws_url)
        self._clock = clock
        self._secret_of = secret_of
        self._http = urllib3.PoolManager(retries=False, timeout=10.0)

    def authenticate(self, token: str) -> Identity:
        """The identity behind ``token``; TokenRefused when there is none."""
        url = _presigned_url(token)
        try:
            parts = urlsplit(url)
        except ValueError as malformed:
            raise TokenRefused("the token holds no URL") from malformed
        self._check_form(parts)
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
        self._check_freshness(parameters)
        self._check_signature(url, parameters["X-Amz-Credential"].split("/")[0])
        return self._identity(self._caller_arn(parts.query))

    def _check_form(self, parts: SplitResult) -> None:
        ours = urlsplit(self._aws_url)
        real_sts = parts.scheme == "https" and _STS_HOST.fullmatch(parts.netloc) is not None
        if not real_sts and (parts.scheme, parts.netloc) != (ours.scheme, ours.netloc):
            raise TokenRefused(f"{parts.scheme}://{parts.netloc} is no STS endpoint")
        if parts.path not in ("", "/"):
            raise TokenRefused(f"unexpected path {parts.path!r} in the presigned URL")
        names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
        unexpected = sorted(set(names) - _PARAMETERS)
        if unexpected or len(names) != len(set(names)):
            raise TokenRefused(f"unexpected or repeated query parameters: {unexpected or names}")
        if missing := sorted(_REQUIRED - set(names)):
            raise TokenRefused(f"query parameters missing: {missing}")

    def _check_freshness(self, parameters: dict[str, str]) -> None:
        if parameters["Action"] != "GetCallerIdentity":
            raise TokenRefused(f"action {parameters['Action']!r} is not GetCallerIdentity")
        if _CLUSTER_HEADER not in parameters["X-Amz-SignedHeaders"].split(";"):
            raise TokenRefused(f"the signature does not cover the header {_CLUSTER_HEADER}")
        try:
            signed = datetime.datetime.strptime(parameters["X-Amz-Date"], "%Y%m%dT%H%M%S%z")
        except ValueError as malformed:
            raise TokenRefused(f"malformed X-Amz-Date {parameters['X-Amz-Date']!r}") from malformed
        age = self._clock() - signed
        if not -_LIFETIME < age < _LIFETIME:
            raise TokenRefused(f"the token was signed {age} ago; it counts for {_LIFETIME}")

    def _check_signature(self, url: str, access_key: str) -> None:
        secret = self._secret_of(access_key)
        if secret is None:
            raise TokenRefused(f"unknown access key {access_key}")
        try:
            genuine = signature_matches(url, {_CLUSTER_HEADER: self._cluster_name}, secret)
        except ValueError as malformed:
            raise TokenRefused("malformed X-Amz-Credential") from malformed
        if not genuine:
            raise TokenRefused(f"the signature does not match: not this role's, or not for cluster {self._cluster_name}")

    def _caller_arn(self, query: str) -> str:
        headers = {_CLUSTER_HEADER: self._cluster_name}
        response = self._http.request("GET", f"{self._aws_url}/?{query}", headers=headers)
        if response.status != 200:
            raise TokenRefused(f"STS answered {response.status}: {response.data.decode(errors='replace')[:300]}")
        arn = ET.fromstring(response.data).findtext(".//{*}Arn")
        if not arn:
            raise TokenRefused("STS named no caller")
        return arn

    def _identity(self, caller_arn: str) -> Identity:
        caller = _ASSUMED_ROLE.fullmatch(caller_arn)
        if caller is None:
            raise TokenRefused(f"{caller_arn} is no assumed role")
        entry = self._access_entry(caller["account"], caller["role"])
        username = entry.get("username") or f"{caller_arn.removesuffix(caller['session'])}{{{{SessionName}}}}"
        values = {"SessionNameRaw": caller["session"], "SessionName": caller["session"].replace("@", "-")}
        for name, value in {**values, "AccountID": caller["account"]}.items():
            username = username.replace(f"{{{{{name}}}}}", value)
        if _NODE_NAME in username:
            username = username.replace(_NODE_NAME, self._node_name(caller["session"]))
        return Identity(username, tuple(entry.get("kubernetesGroups", ())), entry["principalArn"])

    def _node_name(self, instance: str) -> str:
        """EC2 names the sessions of a node's role after the instance."""
        found = self._ec2.describe_instances(Filters=[{"Name": "instance-id", "Values": [instance]}])["Reservations"]
        if not found:
            raise TokenRefused(f"{instance} is no instance")
        return str(found[0]["Instances"][0]["PrivateDnsName"])

    def _access_entry(self, account: str, role: str) -> dict[str, Any]:
        """STS leaves out a role's path, access entries keep it: the name decides, being unique in its account."""
        for page in self._eks.get_paginator("list_access_entries").paginate(clusterName=self._cluster_name):
            for principal in page["accessEntries"]:
                if principal.split(":")[4] == account and principal.rpartition("/")[2] == role:
                    found = self._eks.describe_access_entry(clusterName=self._cluster_name, principalArn=principal)
                    return dict(found["accessEntry"])
        raise TokenRefused(f"no access entry of cluster {self._cluster_name} names role {role} of account {account}")


def _presigned_url(token: str) -> str:
    if not token.startswith(_PREFIX):
        raise TokenRefused(f"the token does not start with {_PREFIX}")
    encoded = token.removeprefix(_PREFIX)
    try:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        return decoded.decode("ascii")
    except (binascii.Error, UnicodeDecodeError) as malformed:
        raise TokenRefused("the token is not base64url") from malformed
