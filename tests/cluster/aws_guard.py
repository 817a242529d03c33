"""Refuses what the policies of the calling role do not allow, which moto leaves out.

The table of resources says which ARN an action is about. Actions that IAM lets nobody narrow to a resource (most
Describe calls) are about ``*``. Source: the Service Authorization Reference.
"""

from collections.abc import Callable
from typing import Any

from tests.cluster.aws_protocol import AwsError, Parsed
from tests.cluster.iam_evaluation import Access, Decision, decide
from tests.cluster.principals import ACCOUNT, Principal, Principals
from tests.cluster.sqs_queues import SqsQueues, queue_arn

# IAM calls the action of lambda:Invoke by another name than the API does.
_ACTIONS = {"lambda:Invoke": "lambda:InvokeFunction"}
_UNGUARDED = {"sts:GetCallerIdentity"}

Touched = tuple[str, dict[str, str]]


class Guard:
    """Authorises requests by the declared policies; ``moto`` gives clients that reach moto unguarded."""

    def __init__(self, principals: Principals, moto: Callable[[str], Any], queues: SqsQueues) -> None:
        self._principals = principals
        self._moto = moto
        self._queues = queues

    def check(self, principal: Principal, request: Parsed) -> None:
        """AwsError, worded as AWS words it, when ``principal`` may not do this."""
        name = f"{request.service}:{request.operation}"
        action = _ACTIONS.get(name, name)
        if principal.role_name is None or action in _UNGUARDED:
            return
        resource, tags = self._touched(request)
        self.require(principal.role_name, principal.arn, Access(action, resource, _context(principal, request, tags)), request.protocol)

    def require(self, role_name: str, caller: str, access: Access, protocol: str) -> None:
        """AwsError in the form of ``protocol`` when the policies of the role do not allow ``caller`` this ``access``."""
        decision = decide(self._principals.policies_of(role_name), access, self._resource_policies(access), ("AWS", caller))
        if decision is not Decision.ALLOWED:
            raise _refusal(caller, access, decision, protocol)

    def require_of_resource(self, service: str, access: Access) -> None:
        """AwsError when the resource's own policy does not allow an AWS ``service`` (``events.amazonaws.com``) this ``access``."""
        decision = decide([], access, self._resource_policies(access), ("Service", service))
        if decision is not Decision.ALLOWED:
            raise _refusal(service, access, decision, "json")

    def _resource_policies(self, access: Access) -> list[dict[str, Any]]:
        return self._queues.policies_of(access.resource) if access.action.startswith("sqs:") and access.resource != "*" else []

    def _touched(self, request: Parsed) -> Touched:
        params, place = request.params, f"{request.region}:{ACCOUNT}"
        if request.service == "autoscaling" and not request.operation.startswith("Describe"):
            return self._auto_scaling_group(params)
        if request.service == "eks":
            return _eks_resource(params, place), {}
        if request.service == "lambda" and "FunctionName" in params:
            return _function(params["FunctionName"], place), {}
        if request.service == "sqs" and "QueueUrl" in params:
            return queue_arn(params["QueueUrl"], request.region), {}
        if request.service == "logs" and "logGroupName" in params:
            stream = params.get("logStreamName", "*")
            return f"arn:aws:logs:{place}:log-group:{params['logGroupName']}:log-stream:{stream}", {}
        return "*", {}

    def _auto_scaling_group(self, params: dict[str, Any]) -> Touched:
        autoscaling = self._moto("autoscaling")
        name = params.get("AutoScalingGroupName") or self._group_of(params.get("InstanceId"))
        groups = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"] if name else []
        if not groups:
            return "*", {}
        tags = {tag["Key"]: tag["Value"] for tag in groups[0]["Tags"]}
        return groups[0]["AutoScalingGroupARN"], tags

    def _group_of(self, instance_id: str | None) -> str | None:
        if instance_id is None:
            return None
        found = self._moto("autoscaling").describe_auto_scaling_instances(InstanceIds=[instance_id])["AutoScalingInstances"]
        return found[0]["AutoScalingGroupName"] if found else None


def _eks_resource(params: dict[str, Any], place: str) -> str:
    cluster = params.get("clusterName") or params.get("name")
    if "nodegroupName" in params:
        # The last part of a node group's ARN is an id that requests do not carry.
        return f"arn:aws:eks:{place}:nodegroup/{cluster}/{params['nodegroupName']}/id"
    return f"arn:aws:eks:{place}:cluster/{cluster}" if cluster else "*"


def _function(name: str, place: str) -> str:
    return name if name.startswith("arn:") else f"arn:aws:lambda:{place}:function:{name}"


def _context(principal: Principal, request: Parsed, tags: dict[str, str]) -> dict[str, str]:
    # The world speaks HTTP where AWS speaks HTTPS.
    context = {"aws:PrincipalArn": principal.arn, "aws:RequestedRegion": request.region, "aws:SecureTransport": "true"}
    for key, value in tags.items():
        context[f"aws:ResourceTag/{key}"] = value
        context[f"{request.service}:ResourceTag/{key}"] = value
    wanted = request.params.get("Tags", [])
    if isinstance(wanted, list):
        context |= {f"aws:RequestTag/{tag['Key']}": tag.get("Value", "") for tag in wanted}
    return context


def _refusal(caller: str, access: Access, decision: Decision, protocol: str) -> AwsError:
    reason = decision.value.format(action=access.action)
    sentence = f"User: {caller} is not authorized to perform: {access.action} on resource: {access.resource} {reason}"
    if protocol == "ec2":
        return AwsError("UnauthorizedOperation", f"You are not authorized to perform this operation. {sentence}", 403)
    code = "AccessDenied" if protocol in ("query", "rest-xml") else "AccessDeniedException"
    return AwsError(code, sentence, 400 if protocol == "json" else 403)
