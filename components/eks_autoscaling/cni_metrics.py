"""A warning before pods find no address: what cni-metrics-helper needs in AWS, and an alarm on what it measures.

The helper is a Deployment of the VPC CNI's authors that sums up what the CNI counts on each node; EKS has no add-on of it. Install its
chart (https://aws.github.io/eks-charts, cni-metrics-helper) with the component's ``helm_values``. It needs the add-on
eks-pod-identity-agent. The alarm stays in INSUFFICIENT_DATA until the helper runs.

What is counted are addresses that the nodes' network interfaces can have, not those that are left in the subnets.
"""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from eks_autoscaling import component_arguments, policies, workload_policies
from eks_autoscaling.cluster import ClusterRef
from eks_autoscaling.misuse import ArgumentError
from eks_autoscaling.service_account_role import ServiceAccountRole

CHART = "cni-metrics-helper"
# Both are fixed in the helper.
METRIC_NAMESPACE, DIMENSION = "Kubernetes", "CLUSTER_ID"
DEFAULT_THRESHOLD_PERCENT = 80
_PERIOD_SECONDS = 300


class CniMetricsArgs(TypedDict):
    """Arguments of ``CniMetrics``."""

    cluster: ClusterRef
    """The cluster: ``cluster.ref()``, or name and ARN of any other EKS cluster."""
    threshold_percent: NotRequired[int]
    """Share (1 to 100) of the addresses that the nodes can have, above which the alarm goes off; 80 if absent."""
    topic_arns: NotRequired[Sequence[pulumi.Input[str]]]
    """SNS topics that hear when the alarm goes off and when it is over."""
    tags: NotRequired[dict[str, pulumi.Input[str]]]
    """Tags on everything the component makes."""


class CniMetrics(pulumi.ComponentResource):
    """The role of cni-metrics-helper, and an alarm on the addresses of pods."""

    role_arn: pulumi.Output[str]
    """Role of the helper's pod, which has it by EKS Pod Identity."""
    alarm_arn: pulumi.Output[str]
    """ARN of the alarm."""
    helm_values: pulumi.Output[dict[str, Any]]
    """Values for the chart cni-metrics-helper, to be installed in kube-system."""

    def __init__(self, name: str, args: CniMetricsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for a threshold that is no percentage."""
        component_arguments.check(args, CniMetricsArgs)
        super().__init__("eks-autoscaling:index:CniMetrics", name, None, opts)
        threshold = int(args.get("threshold_percent", DEFAULT_THRESHOLD_PERCENT))
        if not 1 <= threshold <= 100:
            raise ArgumentError("threshold_percent", threshold, "use 1 to 100")
        cluster = args["cluster"]
        role = ServiceAccountRole(
            name,
            {
                "cluster": cluster,
                "namespace": "kube-system",
                "service_account": CHART,
                "identity": "POD_IDENTITY",
                "policy_documents": {"metrics": workload_policies.put_metrics(METRIC_NAMESPACE)},
                "tags": args.get("tags", {}),
            },
            pulumi.ResourceOptions(parent=self),
        )
        alarm = self._alarm(name, args, threshold)
        self.role_arn = role.role_arn
        self.alarm_arn = alarm.arn
        self.helm_values = pulumi.Output.all(cluster["name"], cluster["arn"]).apply(lambda known: _values(known[0], known[1]))
        self.register_outputs({output: getattr(self, output) for output in ("role_arn", "alarm_arn", "helm_values")})

    def _alarm(self, name: str, args: CniMetricsArgs, threshold: int) -> aws.cloudwatch.MetricAlarm:
        cluster = args["cluster"]["name"]
        topics = list(args.get("topic_arns", []))
        share: Any = {"id": "share", "expression": "100 * assigned / possible", "label": "Addresses in use (%)", "return_data": True}
        return aws.cloudwatch.MetricAlarm(
            f"{name}-addresses",
            alarm_description="Pods soon find no address on their nodes: add nodes or larger ones, or turn prefix delegation on.",
            comparison_operator="GreaterThanThreshold",
            threshold=threshold,
            evaluation_periods=3,
            metric_queries=[share, _query("assigned", "assignIPAddresses", cluster), _query("possible", "maxIPAddresses", cluster)],
            alarm_actions=topics,
            ok_actions=topics,
            tags=args.get("tags", {}),
            opts=pulumi.ResourceOptions(parent=self),
        )


def _query(key: str, metric: str, cluster: pulumi.Input[str]) -> Any:
    measured = {
        "namespace": METRIC_NAMESPACE,
        "metric_name": metric,
        "dimensions": {DIMENSION: cluster},
        "period": _PERIOD_SECONDS,
        "stat": "Maximum",
    }
    return {"id": key, "metric": measured}


def _values(cluster: str, arn: str) -> dict[str, Any]:
    region = policies.ClusterArn(arn).region
    # Pods cannot ask the metadata service where they are, nor which cluster they are in.
    environment = {"AWS_CLUSTER_ID": cluster, "AWS_REGION": region, "USE_CLOUDWATCH": "true"}
    return {"env": environment, "image": {"region": region}, "serviceAccount": {"create": True, "name": CHART}}
