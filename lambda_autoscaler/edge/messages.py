"""Amazon SQS and AWS Lambda behind ``ports.Messages``: reminders to oneself, and waking the scan."""

from typing import Any, Final

import msgspec

from lambda_autoscaler.core.events import Home, Reminder, reminder_message
from lambda_autoscaler.edge.aws_errors import at_the_border

# The event of the schedule: the scan cannot tell who woke it, and need not.
WAKE_EVENT: Final = {"source": "aws.scheduler", "detail-type": "Scheduled Event"}
WAKE_REASON: Final = "interruption"
LONGEST_DELAY: Final = 900


class QueueMessages:
    """The queue at ``queue_url`` and the scan function ``scan_function``; ``client`` makes clients of AWS services.

    ``cluster`` is named in messages and events where the functions serve several.
    """

    def __init__(self, client: Any, queue_url: str, scan_function: str, home: Home, cluster: str = "") -> None:
        self._client, self._queue_url, self._scan_function = client, queue_url, scan_function
        self._home, self._cluster = home, cluster

    def again(self, reminder: Reminder, seconds: int) -> None:
        """Send oneself a message that arrives in so many seconds (SQS takes 900 at most)."""
        queue = self._client("sqs")
        body = reminder_message(self._home, msgspec.structs.replace(reminder, cluster=self._cluster)).decode()
        with at_the_border("sqs", "SendMessage", self._queue_url):
            queue.send_message(QueueUrl=self._queue_url, MessageBody=body, DelaySeconds=min(seconds, LONGEST_DELAY))

    def wake(self, at: float) -> None:
        """Invoke the scan without waiting for it. While another scan runs, Lambda keeps the event for a minute."""
        functions = self._client("lambda")
        named = {"cluster": self._cluster} if self._cluster else {}
        event = {**WAKE_EVENT, "detail": {"reason": WAKE_REASON, "at": at, **named}}
        with at_the_border("lambda", "Invoke", self._scan_function):
            functions.invoke(FunctionName=self._scan_function, InvocationType="Event", Payload=msgspec.json.encode(event))
