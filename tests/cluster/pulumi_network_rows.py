"""Which AWS calls create what the autoscaler declares around its functions: alarms, the dashboard, and security groups with their rules."""

from typing import Any

from tests.cluster.pulumi_rows import Created, Inputs, Row


def _rule(inputs: Inputs) -> Inputs:
    """A rule of its own, as EC2's older calls take it: inside a permission."""
    permission: dict[str, Any] = {key: inputs[key] for key in ("ipProtocol", "fromPort", "toPort")}
    if "cidrIpv4" in inputs:
        permission["ipRanges"] = [{"cidrIp": inputs["cidrIpv4"], "description": inputs.get("description", "")}]
    if "referencedSecurityGroupId" in inputs:
        permission["userIdGroupPairs"] = [{"groupId": inputs["referencedSecurityGroupId"], "description": inputs.get("description", "")}]
    return {"groupId": inputs["securityGroupId"], "ipPermissions": [permission]}


def _rule_made(answer: dict[str, Any], _: Inputs) -> Created:
    return answer["SecurityGroupRules"][0]["SecurityGroupRuleId"], {}


def _alarm(inputs: Inputs) -> Inputs:
    if "metricQueries" in inputs:
        plain = {key: value for key, value in inputs.items() if key != "metricQueries"}
        return {**plain, "metrics": [_query(query) for query in inputs["metricQueries"]]}
    return {**inputs, "dimensions": _dimensions(inputs)}


def _query(query: Inputs) -> Inputs:
    if "metric" not in query:
        return query
    measured = query["metric"]
    metric = {"namespace": measured["namespace"], "metricName": measured["metricName"], "dimensions": _dimensions(measured)}
    plain = {key: value for key, value in query.items() if key != "metric"}
    return {**plain, "metricStat": {"metric": metric, "period": measured["period"], "stat": measured["stat"]}}


def _dimensions(inputs: Inputs) -> list[Inputs]:
    return [{"name": name, "value": value} for name, value in inputs["dimensions"].items()]


NETWORK_ROWS = (
    Row(
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "cloudwatch",
        "PutMetricAlarm",
        lambda _, inputs: (inputs["name"], {"arn": f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:{inputs['name']}"}),
        name="name",
        renames={"name": "alarmName"},
        shaped=_alarm,
    ),
    Row(
        "aws:cloudwatch/dashboard:Dashboard",
        "cloudwatch",
        "PutDashboard",
        lambda _, inputs: (inputs["dashboardName"], {}),
    ),
    Row(
        "aws:ec2/securityGroup:SecurityGroup",
        "ec2",
        "CreateSecurityGroup",
        lambda answer, _: (answer["GroupId"], {}),
        name="name",
        renames={"name": "groupName"},
        resource_type="security-group",
    ),
    Row(
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        "ec2",
        "AuthorizeSecurityGroupIngress",
        _rule_made,
        shaped=_rule,
    ),
    Row(
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        "ec2",
        "AuthorizeSecurityGroupEgress",
        _rule_made,
        shaped=_rule,
    ),
)
