"""Access entries and their policies, and Pod Identity associations of EKS, none of which moto has.

Rules: https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html
"""

import datetime
import threading
import uuid
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from tests.cluster.aws_protocol import AwsError
from tests.cluster.group_capacity import Clock
from tests.cluster.principals import ACCOUNT

_RESERVED_USERS = ("system:", "eks:", "aws:", "amazon:", "iam:")
_RESERVED_GROUPS = ("system:", "eks:", "aws:", "amazon:", "iam:")
# What EKS itself fills in for nodes that join by themselves.
_NODES = "EC2_LINUX"
_OF_NODES = ("system:node:{{EC2PrivateDNSName}}", ["system:nodes"])

Params = dict[str, Any]


class EksAccess:
    """Answers the EKS operations on access entries and Pod Identity associations.

    ``moto`` gives clients that reach moto unguarded; ``authentication_mode`` tells that of a cluster, and raises
    botocore's ClientError when there is no such cluster.
    """

    def __init__(self, moto: Callable[[str], Any], authentication_mode: Callable[[str], str], clock: Clock) -> None:
        self._moto = moto
        self._mode = authentication_mode
        self._clock = clock
        self._lock = threading.RLock()
        self.forget()
        self.answers: dict[str, Callable[[Params], Params]] = {
            "CreateAccessEntry": self._create_entry,
            "DescribeAccessEntry": lambda params: {"accessEntry": self._entry(params)},
            "UpdateAccessEntry": self._update_entry,
            "ListAccessEntries": self._list_entries,
            "DeleteAccessEntry": self._delete_entry,
            "AssociateAccessPolicy": self._associate,
            "DisassociateAccessPolicy": self._disassociate,
            "ListAssociatedAccessPolicies": self._list_associated,
            "CreatePodIdentityAssociation": self._create_association,
            "DescribePodIdentityAssociation": lambda params: {"association": self._association(params)},
            "ListPodIdentityAssociations": self._list_associations,
            "DeletePodIdentityAssociation": self._delete_association,
        }

    def forget(self) -> None:
        """Drop every entry and association."""
        with self._lock:
            self._entries: dict[tuple[str, str], Params] = {}
            self._policies: dict[tuple[str, str], dict[str, Params]] = {}
            self._associations: dict[str, Params] = {}

    def admit_nodes(self, cluster: str, role_arn: str) -> None:
        """The entry that EKS makes for the role of a managed node group."""
        if self._mode(cluster) != "CONFIG_MAP" and (cluster, role_arn) not in self._entries:
            self._store({"clusterName": cluster, "principalArn": role_arn, "type": _NODES}, *_OF_NODES)

    def admit_creator(self, cluster: str, principal_arn: str) -> None:
        """The entry of whoever made the cluster, when the creator is to be its administrator."""
        self._store({"clusterName": cluster, "principalArn": principal_arn}, principal_arn, [])
        policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
        self._associate({"clusterName": cluster, "principalArn": principal_arn, "policyArn": policy, "accessScope": {"type": "cluster"}})

    def admit_auto_mode(self, cluster: str, role_arn: str) -> None:
        """The entry that EKS makes for the nodes of its own node pools."""
        self._store({"clusterName": cluster, "principalArn": role_arn, "type": "EC2"}, *_OF_NODES)

    def _create_entry(self, params: Params) -> Params:
        cluster, principal = params["clusterName"], params["principalArn"]
        if self._mode(cluster) == "CONFIG_MAP":
            raise AwsError(
                "InvalidRequestException",
                "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this operation.",
            )
        if (cluster, principal) in self._entries:
            raise AwsError("ResourceInUseException", "The specified access entry resource is already in use on this cluster.", 409)
        self._check_principal(principal)
        if params.get("type") == _NODES:
            return {"accessEntry": self._store(params, *_OF_NODES)}
        user, groups = params.get("username") or _default_user(principal), params.get("kubernetesGroups", [])
        if user.startswith(_RESERVED_USERS):
            raise AwsError("InvalidParameterException", f"The username {user} begins with a reserved prefix")
        if any(group.startswith(_RESERVED_GROUPS) for group in groups):
            raise AwsError(
                "InvalidParameterException",
                "The kubernetes group name is invalid, it cannot start with system:, eks:, aws:, amazon: or iam:",
            )
        return {"accessEntry": self._store(params, user, groups)}

    def _store(self, params: Params, user: str, groups: list[str]) -> Params:
        cluster, principal = params["clusterName"], params["principalArn"]
        entry = {
            "clusterName": cluster,
            "principalArn": principal,
            "kubernetesGroups": groups,
            "accessEntryArn": f"arn:aws:eks:us-east-1:{ACCOUNT}:access-entry/{cluster}/{principal.split(':', 5)[5]}/{uuid.uuid4()}",
            "createdAt": self._clock(),
            "modifiedAt": self._clock(),
            "tags": params.get("tags", {}),
            "username": user,
            "type": params.get("type", "STANDARD"),
        }
        with self._lock:
            self._entries[cluster, principal] = entry
            self._policies[cluster, principal] = {}
        return entry

    def _check_principal(self, arn: str) -> None:
        """EKS refuses principals that IAM does not know; the administrator's user is not in moto's IAM."""
        kind, _, name = arn.split(":", 5)[5].partition("/")
        try:
            if kind == "role":
                self._moto("iam").get_role(RoleName=name.rpartition("/")[2])
        except ClientError:
            raise AwsError("InvalidParameterException", f"The specified principalArn is invalid: invalid principal {arn}.") from None

    def _entry(self, params: Params) -> Params:
        self._mode(params["clusterName"])
        entry = self._entries.get((params["clusterName"], params["principalArn"]))
        if entry is None:
            message = f"The specified principalArn could not be found. No access entry for {params['principalArn']}"
            raise AwsError("ResourceNotFoundException", message, 404)
        return entry

    def _update_entry(self, params: Params) -> Params:
        entry = self._entry(params)
        changes: Params = {name: params[name] for name in ("kubernetesGroups", "username") if name in params}
        entry |= changes | {"modifiedAt": self._clock()}
        return {"accessEntry": entry}

    def _list_entries(self, params: Params) -> Params:
        self._mode(params["clusterName"])
        return {"accessEntries": sorted(principal for cluster, principal in self._entries if cluster == params["clusterName"])}

    def _delete_entry(self, params: Params) -> Params:
        self._entry(params)
        with self._lock:
            key = (params["clusterName"], params["principalArn"])
            del self._entries[key], self._policies[key]
        return {}

    def _associate(self, params: Params) -> Params:
        entry = self._entry(params)
        if entry["type"] not in ("STANDARD", "EC2"):
            raise AwsError("InvalidParameterException", "Access policies can only be associated with entries of type STANDARD or EC2")
        now = self._clock()
        associated = {"policyArn": params["policyArn"], "accessScope": params["accessScope"], "associatedAt": now, "modifiedAt": now}
        self._policies[params["clusterName"], params["principalArn"]][params["policyArn"]] = associated
        return {"clusterName": params["clusterName"], "principalArn": params["principalArn"], "associatedAccessPolicy": associated}

    def _disassociate(self, params: Params) -> Params:
        self._entry(params)
        self._policies[params["clusterName"], params["principalArn"]].pop(params["policyArn"], None)
        return {}

    def _list_associated(self, params: Params) -> Params:
        self._entry(params)
        key = (params["clusterName"], params["principalArn"])
        return {"clusterName": key[0], "principalArn": key[1], "associatedAccessPolicies": list(self._policies[key].values())}

    def _create_association(self, params: Params) -> Params:
        self._mode(params["clusterName"])
        same = ("clusterName", "namespace", "serviceAccount")
        if any(all(known[name] == params[name] for name in same) for known in self._associations.values()):
            raise AwsError("ResourceInUseException", "Association already exists.", 409)
        identifier = f"a-{uuid.uuid4().hex[:17]}"
        arn = f"arn:aws:eks:us-east-1:{ACCOUNT}:podidentityassociation/{params['clusterName']}/{identifier}"
        self._associations[identifier] = {**params, "associationId": identifier, "associationArn": arn, "createdAt": self._clock()}
        return {"association": self._associations[identifier]}

    def _association(self, params: Params) -> Params:
        association = self._associations.get(params["associationId"])
        if association is None:
            raise AwsError("ResourceNotFoundException", f"No association {params['associationId']}", 404)
        return association

    def _list_associations(self, params: Params) -> Params:
        wanted = {name: params[name] for name in ("clusterName", "namespace", "serviceAccount") if name in params}
        return {"associations": [known for known in self._associations.values() if wanted.items() <= known.items()]}

    def _delete_association(self, params: Params) -> Params:
        association = self._association(params)
        del self._associations[params["associationId"]]
        return {"association": association}


def _default_user(principal: str) -> str:
    kind, _, name = principal.split(":", 5)[5].partition("/")
    if kind != "role":
        return principal
    return f"arn:aws:sts::{principal.split(':')[4]}:assumed-role/{name.rpartition('/')[2]}/{{{{SessionName}}}}"


def utc_now() -> datetime.datetime:
    """The clock of a world that is given none."""
    return datetime.datetime.now(datetime.UTC)  # noqa: TID251
