"""IAM documents as plain dicts: who may take a role, and what the role may do.

Pure. Every statement says why it is as wide as it is. Sources: the Service Authorization Reference for which actions
accept a resource and a condition key, and the Cluster Autoscaler's AWS guide for what an autoscaler calls.
"""

import re
from collections.abc import Sequence
from typing import Any

from eks_autoscaling import names
from eks_autoscaling.misuse import ArgumentError

Document = dict[str, Any]

_CLUSTER_ARN = re.compile(r"arn:([^:]+):eks:([^:]+):([^:]+):cluster/([^:/]+)")

CLUSTER_POLICIES = ("AmazonEKSClusterPolicy",)
AUTO_MODE_CLUSTER_POLICIES = (
    "AmazonEKSComputePolicy",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
)
AUTO_MODE_NODE_POLICIES = ("AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly")
# The CNI's policy stands on the node role as long as the VPC CNI runs with the node's credentials.
NODE_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly", "AmazonEKS_CNI_Policy")
FARGATE_POLICIES = ("AmazonEKSFargatePodExecutionRolePolicy",)

# No Describe call of Auto Scaling or EC2 accepts a resource.
_AUTOSCALER_READS = (
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeLaunchConfigurations",
    "autoscaling:DescribeScalingActivities",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeSpotPriceHistory",
    "ec2:GetInstanceTypesFromInstanceRequirements",
)
_AUTOSCALER_WRITES = ("autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup")
_INTERRUPTION_WRITES = (
    "autoscaling:CompleteLifecycleAction",
    "autoscaling:RecordLifecycleActionHeartbeat",
    "autoscaling:TerminateInstanceInAutoScalingGroup",
)
_QUEUE_USE = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:SendMessage")


def document(*statements: dict[str, Any]) -> Document:
    """A policy document of ``statements``."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(sid: str, actions: Sequence[str], resources: Sequence[str]) -> dict[str, Any]:
    """One Allow statement."""
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}


def service_trust(service: str) -> Document:
    """Trust that lets an AWS service (``lambda.amazonaws.com``) take the role."""
    return document({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


def fargate_trust(cluster_arn: str) -> Document:
    """Trust for Fargate, only on behalf of profiles of this cluster.

    Without the condition a profile of anyone's cluster could be given the role (the confused deputy).
    """
    trust = service_trust("eks-fargate-pods.amazonaws.com")
    trust["Statement"][0]["Condition"] = {"ArnLike": {"aws:SourceArn": ClusterArn(cluster_arn).fargate_profiles}}
    return trust


def scheduler_trust(account: str, schedule_group_arn: str) -> Document:
    """Trust for EventBridge Scheduler, only on behalf of one schedule group of this account.

    Without the condition anyone's schedule in Scheduler could be pointed at the role (the confused deputy).
    """
    trust = service_trust("scheduler.amazonaws.com")
    trust["Statement"][0]["Condition"] = {"StringEquals": {"aws:SourceAccount": account, "aws:SourceArn": schedule_group_arn}}
    return trust


def invoke(function_arn: str) -> Document:
    """What the schedule's role may do: invoke this function and nothing else."""
    return document(allow("InvokeTheAutoscaler", ["lambda:InvokeFunction"], [function_arn]))


def envelope_encryption(key_arn: str) -> Document:
    """What the cluster's role needs of a customer managed key that encrypts Kubernetes secrets."""
    actions = ["kms:Encrypt", "kms:Decrypt", "kms:ListGrants", "kms:DescribeKey"]
    return document(allow("EncryptSecrets", actions, [key_arn]))


def volume_key(cluster_arn: str) -> Document:
    """Policy of a customer managed key that encrypts the volumes of nodes in the cluster's account.

    IAM of the account decides who else may use and administer the key. Auto Scaling starts instances with its service-linked role: that
    must use the key, and let EBS go on using it for as long as the volume is attached. Source: the EC2 Auto Scaling user guide, required
    key policy for use with encrypted volumes. The role is there once the account has had an Auto Scaling group.
    """
    arn = ClusterArn(cluster_arn)
    principal = f"arn:{arn.partition}:iam::{arn.account}"
    auto_scaling = {"AWS": f"{principal}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"}
    use = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    return document(
        {**allow("LeaveTheRestToIam", ["kms:*"], ["*"]), "Principal": {"AWS": f"{principal}:root"}},
        {**allow("StartNodes", use, ["*"]), "Principal": auto_scaling},
        {
            **allow("KeepVolumesAttached", ["kms:CreateGrant"], ["*"]),
            "Principal": auto_scaling,
            "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        },
    )


def autoscaler(cluster_arn: str, log_group_arn: str) -> Document:
    """What the autoscaler's role may do.

    Reads that accept no resource stand alone: a tag condition on the Auto Scaling group would also forbid
    ``eks:DescribeNodegroup``. Writes require both discovery tags with this cluster's name in the key, so that the
    autoscaler of one cluster cannot resize the groups of another.
    """
    arn = ClusterArn(cluster_arn)
    return document(
        allow("ReadTheCluster", ["eks:DescribeCluster"], [cluster_arn]),
        allow("ReadItsNodeGroups", ["eks:DescribeNodegroup"], [arn.node_groups]),
        allow("ReadGroupsAndInstanceTypes", _AUTOSCALER_READS, ["*"]),
        _on_discovered_groups("ResizeGroupsOfThisCluster", _AUTOSCALER_WRITES, arn),
        _write_logs(log_group_arn),
    )


def interruption(cluster_arn: str, log_group_arn: str, queue_arn: str, scan_function_arn: str) -> Document:
    """What the interruption function's role may do.

    Lambda polls the queue with this role, and the function sends itself the next step of a drain. Instances are only
    ended in groups with both discovery tags, as by the scan; no other function than the scan can be invoked.
    """
    return document(
        allow("ReadTheCluster", ["eks:DescribeCluster"], [cluster_arn]),
        allow("ReadGroupsAndInstances", ["autoscaling:DescribeAutoScalingGroups", "ec2:DescribeInstances"], ["*"]),
        allow("WorkOffTheQueue", _QUEUE_USE, [queue_arn]),
        allow("AskForAScan", ["lambda:InvokeFunction"], [scan_function_arn]),
        _on_discovered_groups("EndInstancesOfThisCluster", _INTERRUPTION_WRITES, ClusterArn(cluster_arn)),
        _write_logs(log_group_arn),
    )


def joined(documents: Sequence[Document]) -> Document:
    """One document for a role that serves several clusters: statements that say the same stand once, the others get a name of their own."""
    found: list[dict[str, Any]] = []
    for number, one in enumerate(documents, start=1):
        for statement in one["Statement"]:
            content = {key: value for key, value in statement.items() if key != "Sid"}
            if not any(content == {key: value for key, value in known.items() if key != "Sid"} for known in found):
                sid = statement["Sid"] if number == 1 else f"{statement['Sid']}{number}"
                found.append({**statement, "Sid": sid})
    return document(*found)


def event_queue(queue_arn: str, rule_arns: Sequence[str], account: str) -> Document:
    """Who may use the interruption queue besides roles of its account: EventBridge, for these rules of this account, to send.

    Whoever can send to the queue can have nodes emptied; without the conditions any rule of any account could.
    """
    send = {
        **allow("AcceptEventsOfTheRules", ["sqs:SendMessage"], [queue_arn]),
        "Principal": {"Service": "events.amazonaws.com"},
        "Condition": {"ArnEquals": {"aws:SourceArn": list(rule_arns)}, "StringEquals": {"aws:SourceAccount": account}},
    }
    return document(send, _refuse_without_tls(queue_arn))


def dead_letter_queue(queue_arn: str) -> Document:
    """The dead-letter queue takes nothing from outside: SQS itself moves messages there."""
    return document(_refuse_without_tls(queue_arn))


def network_interfaces() -> Document:
    """What Lambda needs to put a function into a VPC. EC2 takes no resource for interfaces that do not exist yet."""
    actions = [
        *("ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface"),
        *("ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"),
    ]
    return document(allow("StandInTheVpc", actions, ["*"]))


def _refuse_without_tls(queue_arn: str) -> dict[str, Any]:
    return {
        "Sid": "RefuseWithoutTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["sqs:*"],
        "Resource": [queue_arn],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _on_discovered_groups(sid: str, actions: Sequence[str], arn: "ClusterArn") -> dict[str, Any]:
    tags = {f"aws:ResourceTag/{key}": value for key, value in names.discovery_tags(arn.cluster).items()}
    return {**allow(sid, actions, [arn.auto_scaling_groups]), "Condition": {"StringEquals": tags}}


def _write_logs(log_group_arn: str) -> dict[str, Any]:
    return allow("WriteLogs", ["logs:CreateLogStream", "logs:PutLogEvents"], [f"{log_group_arn}:*"])


class ClusterArn:
    """The parts of a cluster's ARN, and the ARNs that follow from them.

    Raises:
        ArgumentError: ``arn`` is not that of an EKS cluster; ``argument`` is what the user gave it as.

    """

    def __init__(self, arn: str, argument: str = "cluster.arn") -> None:
        parts = _CLUSTER_ARN.fullmatch(arn)
        if parts is None:
            raise ArgumentError(argument, arn, "write the ARN of an EKS cluster, such as arn:aws:eks:eu-west-1:123456789012:cluster/shop")
        self.partition, self.region, self.account, self.cluster = parts.groups()

    @property
    def node_groups(self) -> str:
        """All managed node groups of the cluster."""
        return f"arn:{self.partition}:eks:{self.region}:{self.account}:nodegroup/{self.cluster}/*"

    @property
    def fargate_profiles(self) -> str:
        """All Fargate profiles of the cluster."""
        return f"arn:{self.partition}:eks:{self.region}:{self.account}:fargateprofile/{self.cluster}/*"

    @property
    def auto_scaling_groups(self) -> str:
        """All Auto Scaling groups of the account and region; statements narrow them by tag."""
        return f"arn:{self.partition}:autoscaling:{self.region}:{self.account}:autoScalingGroup:*:autoScalingGroupName/*"

    @property
    def schedule_group(self) -> str:
        """EventBridge Scheduler's default schedule group."""
        return f"arn:{self.partition}:scheduler:{self.region}:{self.account}:schedule-group/default"
