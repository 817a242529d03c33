"""Who is calling: access keys, the roles they stand for, and what the policies of those roles say.

The account has one administrator with a fixed key, who may do everything. Every other key comes from AssumeRole. The
roles, their trust and their policies are what a stack declared in moto's IAM.
"""

import functools
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError
from moto.iam import iam_backends
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy

from tests.cluster.aws_protocol import AwsError
from tests.cluster.iam_evaluation import trusts

ACCOUNT = "123456789012"
ADMINISTRATOR_KEY = "AKIAADMINISTRATOR000"
ADMINISTRATOR_SECRET = "administrator-of-the-test-account"


@dataclass(frozen=True)
class Principal:
    """A caller: its ARN as STS tells it, its unique id, and the role behind it (None for the administrator)."""

    arn: str
    user_id: str
    role_name: str | None


@dataclass(frozen=True)
class Credentials:
    """What a client signs with."""

    access_key: str
    secret_key: str
    session_token: str | None = None

    def as_environment(self) -> dict[str, str]:
        """The AWS_* variables that give these credentials to another process."""
        variables = {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}
        return variables | ({"AWS_SESSION_TOKEN": self.session_token} if self.session_token else {})


ADMINISTRATOR = Credentials(ADMINISTRATOR_KEY, ADMINISTRATOR_SECRET)


class Principals:
    """The callers known to one world; ``moto`` gives clients that reach moto unguarded."""

    def __init__(self, moto: "Any") -> None:
        self._moto = moto
        self._lock = threading.Lock()
        self._by_key: dict[str, Principal] = {}
        self.forget()

    def forget(self) -> None:
        """Drop every session; only the administrator stays."""
        administrator = Principal(f"arn:aws:iam::{ACCOUNT}:user/administrator", "AIDAADMINISTRATOR000", None)
        with self._lock:
            self._by_key = {ADMINISTRATOR_KEY: administrator}

    def of(self, access_key: str) -> Principal:
        """The caller behind ``access_key``; AwsError for a key that nobody was given."""
        with self._lock:
            known = self._by_key.get(access_key)
        if known is None:
            raise AwsError("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
        return known

    def assume(self, role_arn: str, session_name: str, who: tuple[str, str], context: Mapping[str, str]) -> dict[str, Any]:
        """Answer of AssumeRole for ``who`` (``("Service", name)`` or ``("AWS", arn)``), if the role's trust allows it."""
        role = self._role(role_arn)
        if not trusts(role["AssumeRolePolicyDocument"], who, context):
            message = f"{who[1]} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
            raise AwsError("AccessDenied", message, 403)
        answer: dict[str, Any] = self._moto("sts").assume_role(RoleArn=role_arn, RoleSessionName=session_name)
        user = answer["AssumedRoleUser"]
        # STS leaves the role's path out.
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role['RoleName']}/{session_name}"
        principal = Principal(arn, user["AssumedRoleId"], role["RoleName"])
        with self._lock:
            self._by_key[answer["Credentials"]["AccessKeyId"]] = principal
        return {"Credentials": answer["Credentials"], "AssumedRoleUser": {**user, "Arn": arn}}

    def policies_of(self, role_name: str) -> list[dict[str, Any]]:
        """Documents of the role's inline and attached policies."""
        iam = self._moto("iam")
        inline = [
            iam.get_role_policy(RoleName=role_name, PolicyName=name)["PolicyDocument"]
            for name in iam.list_role_policies(RoleName=role_name)["PolicyNames"]
        ]
        attached = iam.list_attached_role_policies(RoleName=role_name)["AttachedPolicies"]
        return [_document(document) for document in inline] + [self._attached(policy["PolicyArn"]) for policy in attached]

    def _attached(self, arn: str) -> dict[str, Any]:
        iam = self._moto("iam")
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        return _document(iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"])

    def _role(self, role_arn: str) -> dict[str, Any]:
        try:
            role: dict[str, Any] = self._moto("iam").get_role(RoleName=role_arn.rpartition("/")[2])["Role"]
        except ClientError:
            raise AwsError("AccessDenied", f"no role {role_arn} to assume", 403) from None
        return {**role, "AssumeRolePolicyDocument": _document(role["AssumeRolePolicyDocument"])}


def know_managed_policy(arn: str) -> None:
    """Give moto the AWS managed policy ``arn``. It knows them all, but only at a second's cost for each world."""
    backend = iam_backends[ACCOUNT]["aws"]
    name = arn.rpartition("/")[2]
    data = _managed_policies().get(name)
    if data is not None and arn not in backend.managed_policies:
        policy = AWSManagedPolicy.from_data(name, ACCOUNT, "us-east-1", data)
        backend.managed_policies[policy.arn] = policy


@functools.cache
def _managed_policies() -> dict[str, Any]:
    policies: dict[str, Any] = json.loads(aws_managed_policies_data)
    return policies


def _document(document: Any) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(unquote(document)) if isinstance(document, str) else document
    return parsed
