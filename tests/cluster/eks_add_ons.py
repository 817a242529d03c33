"""Add-ons of EKS, which moto lacks: their versions, their settings, and the Pod Identity associations that come with them.

EKS checks the settings of an add-on against a schema that only it can tell; of that of the VPC CNI what
https://github.com/aws/amazon-vpc-cni-k8s/tree/master/charts/aws-vpc-cni says is checked here.
"""

import json
import threading
import uuid
from collections.abc import Callable
from typing import Any

from tests.cluster.aws_protocol import AwsError
from tests.cluster.eks_access import EksAccess
from tests.cluster.group_capacity import Clock
from tests.cluster.principals import ACCOUNT

Params = dict[str, Any]

# Name -> namespace, the version that EKS installs by default, the newest one.
_KNOWN = {
    "vpc-cni": ("kube-system", "v1.20.4-eksbuild.2", "v1.21.1-eksbuild.1"),
    "kube-proxy": ("kube-system", "v1.34.0-eksbuild.2", "v1.34.1-eksbuild.2"),
    "coredns": ("kube-system", "v1.12.3-eksbuild.1", "v1.12.4-eksbuild.1"),
    "eks-pod-identity-agent": ("kube-system", "v1.3.8-eksbuild.2", "v1.3.10-eksbuild.1"),
    "aws-ebs-csi-driver": ("kube-system", "v1.50.1-eksbuild.1", "v1.53.0-eksbuild.1"),
    "metrics-server": ("kube-system", "v0.8.0-eksbuild.2", "v0.8.0-eksbuild.5"),
    "amazon-cloudwatch-observability": ("amazon-cloudwatch", "v4.4.0-eksbuild.1", "v4.7.0-eksbuild.1"),
    "aws-guardduty-agent": ("amazon-guardduty", "v1.11.0-eksbuild.4", "v1.12.1-eksbuild.2"),
    "kubecost_kubecost": ("kubecost", "v2.8.2-eksbuild.1", "v3.0.4-eksbuild.1"),
}
_CNI_VALUES = {"env", "eniConfig", "enableNetworkPolicy", "init", "nodeAgent", "resources", "tolerations", "affinity", "podAnnotations"}


def version_of(add_on: str, *, most_recent: bool) -> str:
    """The default or the newest version of an add-on; LookupError for one that EKS does not offer."""
    if add_on not in _KNOWN:
        raise LookupError(f"EKS offers no add-on {add_on}")
    return _KNOWN[add_on][2 if most_recent else 1]


class EksAddOns:
    """Answers the EKS operations on add-ons; ``require_cluster`` raises botocore's ClientError when there is no such cluster."""

    def __init__(self, require_cluster: Callable[[str], object], access: EksAccess, clock: Clock) -> None:
        self._require_cluster = require_cluster
        self._access = access
        self._clock = clock
        self._lock = threading.Lock()
        self.forget()
        self.answers: dict[str, Callable[[Params], Params]] = {
            "CreateAddon": self._create,
            "DescribeAddon": lambda params: {"addon": self._addon(params)},
            "ListAddons": lambda params: {"addons": [name for cluster, name in self._addons if cluster == params["clusterName"]]},
            "DeleteAddon": self._delete,
        }

    def forget(self) -> None:
        """Drop every add-on."""
        with self._lock:
            self._addons: dict[tuple[str, str], Params] = {}

    def cni_variables(self, cluster: str) -> dict[str, str]:
        """Environment that the settings of the cluster's VPC CNI add-on give it; empty without settings or add-on."""
        values = json.loads(self._addons.get((cluster, "vpc-cni"), {}).get("configurationValues", "{}"))
        variables: dict[str, str] = values.get("env", {})
        return variables

    def _create(self, params: Params) -> Params:
        key = (params["clusterName"], params["addonName"])
        self._require_cluster(key[0])
        if key in self._addons:
            raise AwsError("ResourceInUseException", "Addon already exists.", 409)
        if key[1] not in _KNOWN:
            raise AwsError("InvalidParameterException", f"Addon {key[1]} specified is not supported")
        namespace, default, newest = _KNOWN[key[1]]
        version = params.get("addonVersion", default)
        if version not in (default, newest):
            raise AwsError("InvalidParameterException", "Addon version specified is not supported")
        _check_values(key[1], params.get("configurationValues", "{}"))
        associations = [self._associate(key[0], namespace, wanted) for wanted in params.get("podIdentityAssociations", [])]
        kept = {name: value for name, value in params.items() if name not in ("resolveConflicts", "podIdentityAssociations")}
        addon = {
            **kept,
            "addonVersion": version,
            "addonArn": f"arn:aws:eks:us-east-1:{ACCOUNT}:addon/{key[0]}/{key[1]}/{uuid.uuid4()}",
            "status": "ACTIVE",
            "createdAt": self._clock(),
            "podIdentityAssociations": associations,
        }
        with self._lock:
            self._addons[key] = addon
        return {"addon": addon}

    def _associate(self, cluster: str, namespace: str, wanted: Params) -> str:
        made = self._access.answers["CreatePodIdentityAssociation"]({"clusterName": cluster, "namespace": namespace, **wanted})
        arn: str = made["association"]["associationArn"]
        return arn

    def _addon(self, params: Params) -> Params:
        addon = self._addons.get((params["clusterName"], params["addonName"]))
        if addon is None:
            raise AwsError("ResourceNotFoundException", f"No addon: {params['addonName']} found in cluster: {params['clusterName']}", 404)
        return addon

    def _delete(self, params: Params) -> Params:
        addon = self._addon(params)
        with self._lock:
            del self._addons[params["clusterName"], params["addonName"]]
        return {"addon": addon}


def _check_values(add_on: str, text: str) -> None:
    try:
        values = json.loads(text)
    except json.JSONDecodeError:
        raise _refused("it is neither JSON nor YAML") from None
    if not isinstance(values, dict):
        raise _refused("it is no object")
    if add_on != "vpc-cni":
        return
    if values.keys() - _CNI_VALUES:
        raise _refused(f"additional properties {sorted(values.keys() - _CNI_VALUES)}")
    texts = {**values.get("env", {}), "enableNetworkPolicy": values.get("enableNetworkPolicy", "false")}
    numbers = [name for name, value in texts.items() if not isinstance(value, str)]
    if numbers:
        raise _refused(f"expected strings: {numbers}")
    interfaces = values.get("eniConfig")
    if interfaces is not None and not {"create", "region", "subnets"} <= interfaces.keys():
        raise _refused("eniConfig lacks create, region or subnets")


def _refused(reason: str) -> AwsError:
    return AwsError("InvalidParameterException", f"ConfigurationValue provided in request is not supported: {reason}")
