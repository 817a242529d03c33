"""The interruption path: events of EC2, Auto Scaling and AWS Health reach a function of the autoscaler through a queue.

    EventBridge rules -> queue -> event source mapping -> function; what fails three times -> dead-letter queue

Odd parts:

* The queue stands between because Lambda's own retries of an EventBridge event would come a minute later, half of a spot
  instance's notice, and because the function sends itself the next step of a drain with a delay.
* A message is gone after an hour: whatever it warned of has happened by then.
* SQS refuses a mapping when messages become visible again before the function's timeout; twice the timeout leaves room.
* Lambda ends what looks like a recursive loop after 16 invocations, unless a function may loop: a drain takes more steps than
  that. It ends by itself: each reminder is bound to a node and ends with it or with its mark.
* The rules' targets are declared after the queue's policy, or the first events would be refused; the mapping comes after
  the function's access to the cluster, so that the first message finds it in place.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from eks_autoscaling import event_rules, names, policies
from eks_autoscaling.cluster import ClusterRef
from eks_autoscaling.functions import Function, Package

HANDLER = "lambda_autoscaler.handler.interruption"
PART = "interruption"
TIMEOUT_SECONDS = 30
MEMORY_SIZE_MIB = 512
VISIBILITY_SECONDS = 60
RETENTION_SECONDS = 3600
DEAD_LETTER_RETENTION_SECONDS = 14 * 86400
RECEIVES = 3
BATCH_SIZE = 10
RULE_NAME_LIMIT = 64


@dataclass(frozen=True)
class Queues:
    """The queue of events, and that of messages which failed."""

    events: aws.sqs.Queue
    dead_letters: aws.sqs.Queue


def declare_queues(package: Package) -> Queues:
    """Both queues, encrypted by SQS's own key, each refusing what comes without TLS; only one may send to the other."""
    dead_letters = aws.sqs.Queue(
        f"{package.name}-{PART}-dead-letters",
        message_retention_seconds=DEAD_LETTER_RETENTION_SECONDS,
        sqs_managed_sse_enabled=True,
        tags=dict(package.tags),
        opts=package.child,
    )
    aws.sqs.QueuePolicy(
        f"{package.name}-{PART}-dead-letters",
        queue_url=dead_letters.url,
        policy=dead_letters.arn.apply(lambda arn: json.dumps(policies.dead_letter_queue(arn))),
        opts=package.child,
    )
    events = aws.sqs.Queue(
        f"{package.name}-{PART}",
        message_retention_seconds=RETENTION_SECONDS,
        visibility_timeout_seconds=VISIBILITY_SECONDS,
        sqs_managed_sse_enabled=True,
        redrive_policy=dead_letters.arn.apply(lambda arn: json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": RECEIVES})),
        tags=dict(package.tags),
        opts=package.child,
    )
    aws.sqs.RedriveAllowPolicy(
        f"{package.name}-{PART}",
        queue_url=dead_letters.url,
        redrive_allow_policy=events.arn.apply(lambda arn: json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [arn]})),
        opts=package.child,
    )
    return Queues(events, dead_letters)


def declare_rules(package: Package, cluster: ClusterRef, queue: aws.sqs.Queue, *, enabled: bool) -> list[aws.cloudwatch.EventRule]:
    """The rules of the default event bus, the queue as their target, and the queue's policy that accepts them and nobody else."""
    rules = [
        aws.cloudwatch.EventRule(
            names.child(package.name, rule.part, RULE_NAME_LIMIT),
            description=rule.description,
            event_pattern=json.dumps(rule.pattern),
            state="ENABLED" if enabled else "DISABLED",
            tags=dict(package.tags),
            opts=package.child,
        )
        for rule in event_rules.RULES
    ]
    document = pulumi.Output.all(queue.arn, cluster["arn"], *(rule.arn for rule in rules)).apply(
        lambda arns: policies.event_queue(arns[0], arns[2:], policies.ClusterArn(arns[1]).account)
    )
    accepted = aws.sqs.QueuePolicy(f"{package.name}-{PART}", queue_url=queue.url, policy=document.apply(json.dumps), opts=package.child)
    after = pulumi.ResourceOptions(parent=package.parent, depends_on=[accepted])
    for described, rule in zip(event_rules.RULES, rules, strict=True):
        aws.cloudwatch.EventTarget(f"{package.name}-{described.part}", rule=rule.name, arn=queue.arn, opts=after)
    return rules


def declare_function(
    package: Package, clusters: Sequence[ClusterRef], queue: aws.sqs.Queue, scan: aws.lambda_.Function, reserved_concurrency: int
) -> Function:
    """The function, which knows the queue and the scan by its variables; as many invocations as said are kept for it (-1: none).

    ArgumentError when the autoscaler's name is too long.
    """
    logs = package.logs(f"{package.name}-{PART}-logs", f"{package.name}-{PART}")
    arns = pulumi.Output.all(logs.arn, queue.arn, scan.arn, *(cluster["arn"] for cluster in clusters))
    document = arns.apply(lambda found: policies.joined([policies.interruption(arn, *found[:3]) for arn in found[3:]]))
    settings = {
        "description": "Empties the nodes of an EKS cluster whose instances AWS takes away",
        "handler": HANDLER,
        "memory_size": MEMORY_SIZE_MIB,
        "timeout": TIMEOUT_SECONDS,
        "reserved_concurrent_executions": reserved_concurrency,
        "variables": {"INTERRUPTION_QUEUE_URL": queue.url, "SCAN_FUNCTION": scan.name},
    }
    return package.function(PART, logs, package.role(PART, document), settings)


def declare_mapping(
    package: Package, queue: aws.sqs.Queue, called: Function, needs: list[pulumi.Resource], settings: Mapping[str, Any]
) -> aws.lambda_.EventSourceMapping:
    """What hands messages to the function, once it may send itself more of them.

    ``settings``: ``enabled``, and ``concurrency`` as the most batches at a time (2 to 1000).
    """
    loops = aws.lambda_.FunctionRecursionConfig(
        f"{package.name}-{PART}", function_name=called.function.name, recursive_loop="Allow", opts=package.child
    )
    return aws.lambda_.EventSourceMapping(
        f"{package.name}-{PART}",
        event_source_arn=queue.arn,
        function_name=called.function.name,
        batch_size=BATCH_SIZE,
        # Each second of waiting for a fuller batch would be one of the 120 that a spot instance has.
        maximum_batching_window_in_seconds=0,
        function_response_types=["ReportBatchItemFailures"],
        scaling_config={"maximum_concurrency": settings["concurrency"]},
        enabled=settings["enabled"],
        tags=dict(package.tags),
        opts=pulumi.ResourceOptions(parent=package.parent, depends_on=[called.permissions, loops, *needs]),
    )
