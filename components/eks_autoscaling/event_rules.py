"""Which events of AWS reach the interruption queue, as EventBridge patterns.

Pure. EC2's events carry no tags, so that a rule cannot tell one cluster's instances from another's: every queue gets the events of
all instances of the account and region, and the function ignores those of strangers. Sources: the event references of Amazon EC2,
EC2 Auto Scaling and AWS Health in EventBridge.
"""

from dataclasses import dataclass
from typing import Any

# Documentation gives the end of a capacity block both names.
_CAPACITY_BLOCK = ("Capacity Block Expiration Warning", "Capacity Block Reservation Expiration Warning")
# pending and running ask for nothing.
_ENDING_STATES = ("stopping", "stopped", "shutting-down", "terminated")


@dataclass(frozen=True)
class EventRule:
    """One rule of the default event bus; ``part`` follows the autoscaler's name in its name."""

    part: str
    description: str
    pattern: dict[str, Any]


RULES = (
    EventRule(
        "ec2-warnings",
        "Spot instances, reserved capacity and capacity blocks that EC2 takes back, and instances at risk",
        {
            "source": ["aws.ec2"],
            "detail-type": [
                "EC2 Spot Instance Interruption Warning",
                "EC2 Instance Rebalance Recommendation",
                "EC2 Capacity Reservation Instance Interruption Warning",
                *_CAPACITY_BLOCK,
            ],
        },
    ),
    EventRule(
        "ec2-states",
        "Instances that stop or terminate",
        {"source": ["aws.ec2"], "detail-type": ["EC2 Instance State-change Notification"], "detail": {"state": list(_ENDING_STATES)}},
    ),
    EventRule(
        "health",
        "Scheduled changes of EC2 instances, such as retirement",
        {
            "source": ["aws.health"],
            "detail-type": ["AWS Health Event"],
            "detail": {"service": ["EC2"], "eventTypeCategory": ["scheduledChange"]},
        },
    ),
    EventRule(
        "auto-scaling",
        "Instances that Auto Scaling is about to terminate, and launches that failed",
        {
            "source": ["aws.autoscaling"],
            "detail-type": ["EC2 Instance-terminate Lifecycle Action", "EC2 Instance Launch Unsuccessful"],
        },
    ),
)
