"""Events of EC2, Auto Scaling and AWS Health as EventBridge delivers them, in the form of AWS's documentation, about an account of ours."""

import json
from typing import Any

from lambda_autoscaler.core.events import Home
from lambda_autoscaler.core.units import format_timestamp
from tests.build import NOW

HOME = Home("210987654321", "eu-central-1")
INSTANCE = "i-0a1b2c3d4e5f60718"
OTHER = "i-0f0f0f0f0f0f0f0f0"
THIRD = "i-0123456789abcdef9"
RESERVATION = "cr-0a1b2c3d4e5f60718"
CHANGE = "arn:aws:health:eu-central-1::event/EC2/AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED/AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED_1"

SPOT = "EC2 Spot Instance Interruption Warning"
REBALANCE = "EC2 Instance Rebalance Recommendation"
STATE = "EC2 Instance State-change Notification"
RESERVED = "EC2 Capacity Reservation Instance Interruption Warning"
TERMINATING = "EC2 Instance-terminate Lifecycle Action"
LAUNCHING = "EC2 Instance-launch Lifecycle Action"
LAUNCH_FAILED = "EC2 Instance Launch Unsuccessful"


def event(kind: str, detail: Any, *, source: str = "aws.ec2", at: float = NOW, **fields: Any) -> dict[str, Any]:
    """An envelope around a detail; a field that is None is left out."""
    envelope = {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": kind,
        "source": source,
        "account": HOME.account,
        "time": format_timestamp(at),
        "region": HOME.region,
        "resources": [],
        "detail": detail,
    }
    return {name: value for name, value in (envelope | fields).items() if value is not None}


def spot(instance: str = INSTANCE, action: str = "terminate", **fields: Any) -> dict[str, Any]:
    return event(SPOT, {"instance-id": instance, "instance-action": action}, **fields)


def rebalance(instance: str = INSTANCE, **fields: Any) -> dict[str, Any]:
    return event(REBALANCE, {"instance-id": instance}, **fields)


def state(name: str, instance: str = INSTANCE, **fields: Any) -> dict[str, Any]:
    return event(STATE, {"instance-id": instance, "state": name}, **fields)


def reservation(instance: str = INSTANCE, ends: float = NOW + 120, **fields: Any) -> dict[str, Any]:
    detail = {
        "instance-id": instance,
        "instance-action": "terminate",
        "instance-termination-time": format_timestamp(ends),
        "azId": "euc1-az2",
    }
    return event(RESERVED, detail, **fields)


def lifecycle_detail(instance: str = INSTANCE, **fields: str) -> dict[str, str]:
    return {
        "LifecycleActionToken": "87654321-4321-4321-4321-210987654321",
        "AutoScalingGroupName": "workers",
        "LifecycleHookName": "drain",
        "EC2InstanceId": instance,
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "NotificationMetadata": "more",
        "Origin": "AutoScalingGroup",
        "Destination": "EC2",
        **fields,
    }


def lifecycle(instance: str = INSTANCE, *, hook: str = "drain", **fields: Any) -> dict[str, Any]:
    return event(TERMINATING, lifecycle_detail(instance, LifecycleHookName=hook), source="aws.autoscaling", **fields)


def notification(**fields: str) -> dict[str, str]:
    """What Auto Scaling sends itself, without EventBridge."""
    own = {"Service": "AWS Auto Scaling", "Time": "2027-01-15T08:00:00.872Z", "RequestId": "request-1", "AccountId": HOME.account}
    return {**lifecycle_detail(), **own, **fields}


def from_topic(message: Any) -> dict[str, str]:
    """A message that came through an SNS topic, not delivered raw."""
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:eu-central-1:210987654321:lifecycle",
        "Subject": "Auto Scaling: Lifecycle action 'TERMINATING'",
        "Message": json.dumps(message),
        "Timestamp": "2027-01-15T08:00:01.000Z",
    }


def capacity_block(ends: float, **fields: Any) -> dict[str, Any]:
    detail = {"capacity-reservation-id": RESERVATION, "end-date": format_timestamp(ends)}
    return event("Capacity Block Expiration Warning", detail, **fields)


def health(*instances: str, **detail: Any) -> dict[str, Any]:
    facts = {
        "eventArn": CHANGE,
        "service": "EC2",
        "eventTypeCode": "AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED",
        "eventTypeCategory": "scheduledChange",
        "eventScopeCode": "ACCOUNT_SPECIFIC",
        "communicationId": "1234abc01232a4012345678-1",
        "startTime": "Fri, 22 Jan 2027 08:00:00 GMT",
        "endTime": "Fri, 22 Jan 2027 10:00:00 GMT",
        "lastUpdatedTime": "Fri, 15 Jan 2027 08:00:00 GMT",
        "statusCode": "upcoming",
        "eventRegion": HOME.region,
        "eventDescription": [{"language": "en_US", "latestDescription": "The instance is to be retired."}],
        "affectedEntities": [{"entityValue": name, "status": "IMPAIRED", "tags": {}} for name in instances],
        "affectedAccount": HOME.account,
        "page": "1",
        "totalPages": "1",
    }
    return event("AWS Health Event", facts | detail, source="aws.health")
