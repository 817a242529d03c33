"""IAM documents of workloads inside the cluster: which service account may take a role, and what common add-ons may do.

Pure. Sources: the EKS user guide for both ways in which a service account gets a role, the Service Authorization Reference
for resources and condition keys, and the Cluster Autoscaler's AWS guide for what it calls.
"""

from eks_autoscaling import names
from eks_autoscaling.policies import ClusterArn, Document, allow, document

TOKEN_AUDIENCE = "sts.amazonaws.com"  # noqa: S105 - the name of a service, no secret
POD_IDENTITY_SERVICE = "pods.eks.amazonaws.com"
CNI_POLICY = "AmazonEKS_CNI_Policy"

# No Describe call of Auto Scaling or EC2 accepts a resource.
_CLUSTER_AUTOSCALER_READS = (
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeAutoScalingInstances",
    "autoscaling:DescribeLaunchConfigurations",
    "autoscaling:DescribeScalingActivities",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:GetInstanceTypesFromInstanceRequirements",
)
_CLUSTER_AUTOSCALER_WRITES = ("autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup")
# No Describe call of EC2 accepts a resource.
_CNI_READS = ("ec2:DescribeInstances", "ec2:DescribeInstanceTypes", "ec2:DescribeNetworkInterfaces", "ec2:DescribeTags")


def irsa_trust(oidc_provider_arn: str, namespace: str, service_account: str) -> Document:
    """Trust for tokens that the cluster behind ``oidc_provider_arn`` issues to one service account, for AWS.

    The provider's ARN ends in the issuer, as condition keys spell it. Without ``sub`` every service account of the cluster
    could take the role, without ``aud`` a token that the pod gave to some other service could be used too.
    """
    issuer = oidc_provider_arn.partition(":oidc-provider/")[2]
    condition = {f"{issuer}:sub": f"system:serviceaccount:{namespace}:{service_account}", f"{issuer}:aud": TOKEN_AUDIENCE}
    return document(
        {
            "Effect": "Allow",
            "Principal": {"Federated": oidc_provider_arn},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": condition},
        }
    )


def pod_identity_trust(cluster_arn: str, namespace: str, service_account: str) -> Document:
    """Trust for EKS Pod Identity on behalf of one service account of one cluster.

    The association alone says who gets the role, and whoever may pass the role could make another one. EKS sends cluster,
    namespace and service account along as session tags, so the trust can insist on them; sts:TagSession lets it send them.
    """
    condition = {
        "aws:SourceAccount": ClusterArn(cluster_arn).account,
        "aws:RequestTag/eks-cluster-arn": cluster_arn,
        "aws:RequestTag/kubernetes-namespace": namespace,
        "aws:RequestTag/kubernetes-service-account": service_account,
    }
    return document(
        {
            "Effect": "Allow",
            "Principal": {"Service": POD_IDENTITY_SERVICE},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {"StringEquals": condition},
        }
    )


def ebs_csi(cluster_arn: str) -> str:
    """ARN of the AWS managed policy for the EBS CSI driver (service account ``kube-system/ebs-csi-controller-sa``).

    It covers volumes and snapshots that carry the driver's own tag ``ebs.csi.aws.com/cluster=true``; AmazonEBSCSIDriverPolicy
    before it covered all of the account. A volume made elsewhere needs the tag before the driver can attach it.
    """
    return _managed(cluster_arn, "AmazonEBSCSIDriverPolicyV2")


def vpc_cni(cluster_arn: str) -> str:
    """ARN of the AWS managed policy for the VPC CNI with IPv4 (service account ``kube-system/aws-node``)."""
    return _managed(cluster_arn, CNI_POLICY)


def vpc_cni_ipv6(cluster_arn: str) -> Document:
    """What the VPC CNI with IPv6 may do (service account ``kube-system/aws-node``), for which AWS has no managed policy.

    The CNI sees to the interfaces of its own node, which has no tag that a condition could name.
    """
    arn = ClusterArn(cluster_arn)
    interfaces = [f"arn:{arn.partition}:ec2:{arn.region}:{arn.account}:network-interface/*"]
    return document(
        allow("ReadInstancesAndInterfaces", _CNI_READS, ["*"]),
        allow("GiveInterfacesAddressesAndTags", ["ec2:AssignIpv6Addresses", "ec2:CreateTags"], interfaces),
    )


def cloudwatch_agent(cluster_arn: str) -> str:
    """ARN of the AWS managed policy for the CloudWatch agent (service account ``amazon-cloudwatch/cloudwatch-agent``)."""
    return _managed(cluster_arn, "CloudWatchAgentServerPolicy")


def put_metrics(namespace: str) -> Document:
    """Write metrics of one CloudWatch namespace; the action accepts no resource."""
    put = allow("WriteMetricsOfOneNamespace", ["cloudwatch:PutMetricData"], ["*"])
    return document({**put, "Condition": {"StringEquals": {"cloudwatch:namespace": namespace}}})


def _managed(cluster_arn: str, name: str) -> str:
    return f"arn:{ClusterArn(cluster_arn).partition}:iam::aws:policy/{name}"


def cluster_autoscaler(cluster_arn: str) -> Document:
    """What the Cluster Autoscaler itself calls (usually service account ``kube-system/cluster-autoscaler``).

    Writes require both discovery tags with this cluster's name in the key. ``eks:DescribeNodegroup`` stands alone: a
    condition on the tags of an Auto Scaling group never holds for a node group.
    """
    arn = ClusterArn(cluster_arn)
    tags = {f"aws:ResourceTag/{key}": value for key, value in names.discovery_tags(arn.cluster).items()}
    writes = allow("ResizeGroupsOfThisCluster", _CLUSTER_AUTOSCALER_WRITES, [arn.auto_scaling_groups])
    return document(
        allow("ReadGroupsAndInstanceTypes", _CLUSTER_AUTOSCALER_READS, ["*"]),
        allow("ReadItsNodeGroups", ["eks:DescribeNodegroup"], [arn.node_groups]),
        {**writes, "Condition": {"StringEquals": tags}},
    )
