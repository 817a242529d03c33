"""For how long CloudWatch Logs keeps what is written.

Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
"""

from eks_autoscaling.misuse import ArgumentError

DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)


def check(argument: str, days: float) -> None:
    """Refuse (ArgumentError) a number of days that CloudWatch Logs does not know."""
    if days not in DAYS:
        raise ArgumentError(argument, days, f"CloudWatch Logs takes {', '.join(map(str, DAYS))} days; use {_nearest(days)}")


def _nearest(days: float) -> int:
    """The shortest time that keeps the logs as long as was wanted."""
    return next((known for known in DAYS if known >= days), DAYS[-1])
