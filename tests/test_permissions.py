"""The two halves agree: the function's role may call exactly what the function calls."""

import re
from pathlib import Path

from eks_autoscaling import policies

CALL = re.compile(r'"(autoscaling|ec2|eks)",\s*"([A-Z][A-Za-z]+)"')
CLIENT = Path(__file__).parents[1] / "lambda_autoscaler" / "edge" / "aws.py"


def test_the_role_allows_exactly_the_aws_calls_of_the_client() -> None:
    document = policies.autoscaler("arn:aws:eks:us-east-1:123456789012:cluster/prod", "arn:aws:logs:us-east-1:123456789012:log-group:scan")
    allowed = {action for statement in document["Statement"] for action in statement["Action"] if not action.startswith("logs:")}
    called = {f"{service}:{operation}" for service, operation in CALL.findall(CLIENT.read_text())}
    assert allowed == called
