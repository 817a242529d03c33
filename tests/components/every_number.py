"""One set of arguments per component, with every number that it takes, none of them the default.

``on_the_wire`` spells such arguments as a program in another language sends them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi.provider.experimental.util import camel_case

from tests.components.programs import REF
from tests.components.wire import archive

_GROUP: dict[str, Any] = {
    "cluster": REF,
    "instance_types": ["m5.xlarge", "m5a.xlarge"],
    "subnet_ids": ["subnet-1"],
    "min_size": 1,
    "max_size": 9,
    "desired_size": 2,
    "disk_size_gib": 80,
    "imds_hop_limit": 2,
    "labels": {"example.com/kind-of-work": "batch"},
    "taints": [{"key": "example.com/batch", "effect": "NoSchedule"}],
    "tags": {"cost-centre": "7"},
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "AddOn": {"cluster": REF, "add_on": "coredns", "version": "v1.12.4-eksbuild.1", "configuration": {"replicaCount": 3}},
    "AddOns": {
        "cluster": REF,
        "configurations": {"coredns": {"replicaCount": 3}},
        "versions": {"coredns": "v1.12.4-eksbuild.1"},
    },
    "Autoscaler": {
        "cluster": REF,
        "code": pulumi.AssetArchive({"handler.py": pulumi.StringAsset("")}),
        "settings": {"max-nodes-total": 40, "scale-down-utilization-threshold": 0.25, "gpu-total": ["nvidia.com/gpu:0:4"]},
        "memory_size_mib": 256,
        "timeout_seconds": 50,
        "reserved_concurrency": 0,
        "interruption_concurrency": 5,
        "log_retention_days": 14,
    },
    "Cluster": {
        "subnet_ids": ["subnet-1", "subnet-2"],
        "admins": {"team": "arn:aws:iam::123456789012:role/team"},
        "access_entries": {
            "ops": {
                "principal_arn": "arn:aws:iam::123456789012:role/ops",
                "policies": [{"policy": "AmazonEKSViewPolicy", "namespaces": ["shop"]}],
            }
        },
        "log_retention_days": 14,
        "control_plane": {
            "service_node_port_range": "30000-31000",
            "scoring_strategy": "MostAllocated",
            "scoring_weights": {"cpu": 2, "memory": 1},
            "terminated_pod_gc_threshold": 1000,
        },
        "auto_mode": {"node_pools": ["system"]},
        "remote_node_cidrs": ["10.200.0.0/16"],
    },
    "CniMetrics": {"cluster": REF, "threshold_percent": 70, "topic_arns": ["arn:aws:sns:us-east-1:123456789012:capacity"]},
    "FargateProfile": {"cluster": REF, "subnet_ids": ["subnet-1"], "selectors": [{"namespace": "shop", "labels": {"run-on": "fargate"}}]},
    "NodeAddOns": {
        "cluster": {**REF, "version": "1.34"},
        "vpc_cni": {"warm_ip_target": 4, "minimum_ip_target": 12},
        "configurations": {"kube-proxy": {"resources": {"requests": {"cpu": 1}}}},
    },
    "OnDemandNodeGroup": {
        **_GROUP,
        "max_unavailable_percentage": 20,
        "max_pods": 40,
        "addresses_per_node": 45,
        "vpc_cni": {"warm_eni_target": 2},
        "node_repair": True,
        "node_repair_limits": {"max_unhealthy_count": 3, "max_parallel_percentage": 50},
        "node_repair_overrides": [{"condition": "NetworkingReady", "reason": "InterfaceNotUp", "wait_minutes": 5, "action": "Reboot"}],
        "warm_pool": {"min_size": 2, "max_prepared_size": 6},
    },
    "Overprovisioning": {"replicas": 3, "cpu": "500m", "memory": "1Gi", "priority": -5, "tolerations": [{"key": "example.com/batch"}]},
    "PriorityExpander": {"priorities": {"20": [".*spot.*"], "10": [".*"]}},
    "SelfManagedNodeGroup": {
        **_GROUP,
        "capacity_type": "SPOT",
        "on_demand_base_size": 1,
        "on_demand_percentage": 10,
        "terminate_hook_seconds": 60,
    },
    "ServiceAccountRole": {
        "cluster": {**REF, "oidc_provider_arn": "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/1"},
        "namespace": "shop",
        "service_account": "orders",
        "policy_documents": {
            "read": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::a/*"}]}
        },
    },
    "SpotNodeGroup": {
        **_GROUP,
        "max_unavailable": 2,
        "node_repair": True,
        "node_repair_limits": {"max_unhealthy_percentage": 30, "max_parallel_count": 2},
        "vpc_cni": {"warm_ip_target": 4, "minimum_ip_target": 12},
    },
    "VpcCni": {
        "cluster": {**REF, "version": "1.34"},
        "settings": {
            "prefix_delegation": True,
            "warm_prefix_target": 2,
            "custom_networking": {"us-east-1a": {"subnet_id": "subnet-3", "security_group_ids": ["sg-1"]}},
            "values": {"livenessProbeTimeoutSeconds": 10},
        },
    },
    "ZonalNodeGroups": {
        "capacity_type": "SPOT",
        "zones": ["us-east-1a"],
        "group": {**_GROUP, "vpc_cni": {"prefix_delegation": True, "warm_prefix_target": 2}},
    },
}


def on_the_wire(arguments: Mapping[str, Any], properties: Mapping[str, Any], types: Mapping[str, Any]) -> dict[str, Any]:
    """``arguments`` (names of Python) in the names of the schema's ``properties``; ``types`` are the schema's own."""
    return {camel_case(name): _value(value, properties[camel_case(name)], types) for name, value in arguments.items()}


def _value(value: Any, shape: Mapping[str, Any], types: Mapping[str, Any]) -> Any:
    known = types.get(str(shape.get("$ref", "")).removeprefix("#/types/"))
    if isinstance(value, Mapping) and known:
        return on_the_wire(value, known["properties"], types)
    if isinstance(value, Mapping):
        return {name: _value(item, shape.get("additionalProperties", {}), types) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_value(item, shape.get("items", {}), types) for item in value]
    return archive(value) if isinstance(value, pulumi.AssetArchive) else value
