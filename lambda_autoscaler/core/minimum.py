"""Groups that stand below their minimum grow to it (``--enforce-node-group-min-size``; behaviour specification, section 7.1.8).

EC2 Auto Scaling keeps a group at its own minimum; this matters where ``--nodes`` names a higher one. It is the last step of a scan and
counts what the scan already decided.
"""

from collections.abc import Sequence

import msgspec

from lambda_autoscaler.core.health import status_notice
from lambda_autoscaler.core.model import NodeGroup
from lambda_autoscaler.core.plan import Increase, Notice
from lambda_autoscaler.core.quota import usage
from lambda_autoscaler.core.scale_up import ScaleUpInput, skip_reason


def to_minimum(given: ScaleUpInput, planned: Sequence[Increase]) -> tuple[list[Increase], list[Notice]]:
    """Increases beyond the ``planned`` ones that bring groups to their minimum, as far as limits allow, and events."""
    targets = {item.group: item.target for item in planned}
    increases: list[Increase] = []
    notices: list[Notice] = []
    for group in given.groups:
        grown = msgspec.structs.replace(group, desired=targets.get(group.id, group.desired))
        if grown.desired < grown.minimum and skip_reason(grown, given) is None:
            nodes, more = _allowed(grown, given)
            notices.extend(more)
            if nodes > 0:
                increases.append(Increase(group.id, grown.desired, grown.desired + nodes, grown.maximum))
    return increases, notices


def _allowed(group: NodeGroup, given: ScaleUpInput) -> tuple[int, list[Notice]]:
    """Nodes that may be added. Like the peer, this holds the group's own size against max-nodes-total, not the cluster's."""
    template = given.templates[group.id]
    one = usage(template.labels, template.capacity)
    nodes = given.quota.allowed(one, group.minimum - group.desired)
    notices = []
    most = given.options.max_nodes_total
    if most and group.desired + nodes > most:
        nodes = max(0, most - group.desired)
        notices.append(status_notice(given.options, "Warning", "MaxNodesTotalReached", f"Max total nodes in cluster reached: {most}"))
    given.quota.take(one, nodes)
    return nodes, notices
