"""What a scan found, counted: cores and memory as the peer counts them for its metrics (behaviour specification, section 1.2, step 7)."""

from lambda_autoscaler.core.model import CPU, MEMORY, TO_BE_DELETED_TAINT, Cluster
from lambda_autoscaler.core.plan import ClusterTotals


def totals_of(cluster: Cluster) -> ClusterTotals:
    """The totals of a cluster, before any pod is placed."""
    staying = [dict(node.capacity) for node in cluster.nodes if all(taint.key != TO_BE_DELETED_TAINT for taint in node.taints)]
    return ClusterTotals(
        nodes=len(staying),
        cores=sum(-(-amounts.get(CPU, 0) // 1000) for amounts in staying),
        memory=sum(amounts.get(MEMORY, 0) for amounts in staying),
        unschedulable_pods=sum(len(item.pods) for item in cluster.pending),
        unprocessed_pods=sum(len(item.pods) for item in cluster.unprocessed),
    )
