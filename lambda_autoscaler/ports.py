"""The seams to the outside: what a scan needs of Kubernetes, of AWS, of its memory and of its telemetry.

The real edges (``edge``), a snapshot folder and the simulated world (``sim``) implement the same protocols. Reads hand over the raw JSON of
the API answers: ``core`` decodes them, whichever side they come from, so that a recorded scan replays byte for byte.

Errors::

    AutoscalerError
    ├── Unreachable        the API did not answer (network, TLS, timeout): names the endpoint
    ├── Denied             401 or 403: names the permission that is missing
    ├── Conflict           409: somebody else changed the object since it was read
    ├── Throttled          429: asked to come back later (``retry_after`` seconds)
    ├── NotFound           404: names the object
    ├── Refused            any other refusal of the API
    │   ├── Busy           another change is under way: nothing has happened, ask again
    │   └── Unavailable    5xx: the API failed, whatever it was asked: ask again; whether anything happened is not known
    └── BadInput           an event, option, snapshot or record that cannot be used: says what to fix
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from lambda_autoscaler.core.events import Hook, Reminder
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.plan import Notice, Plan
from lambda_autoscaler.questions import Question


class AutoscalerError(Exception):
    """Any failure the autoscaler can name."""


class Unreachable(AutoscalerError):
    """The API did not answer."""


class Denied(AutoscalerError):
    """The caller is not known (401) or not allowed (403)."""


class Conflict(AutoscalerError):
    """The object changed since it was read."""


class Throttled(AutoscalerError):
    """The API asked to come back later."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotFound(AutoscalerError):
    """The object is not there."""


class Refused(AutoscalerError):
    """The API refused the request for another reason."""


class Busy(Refused):
    """The API is at another change of the same thing. Nothing has happened, and the same request may succeed in a moment."""


class Unavailable(Refused):
    """The API failed (5xx). The same request may succeed in a moment; whether this one took effect is not known."""


class BadInput(AutoscalerError):
    """Input that cannot be used; the message says which field of what, and what to write instead."""


class Kube(Protocol):
    """The Kubernetes API of one cluster. Every method raises the errors above."""

    def list(self, plural: str, node: str = "") -> Iterable[bytes]:
        """Pages of all objects of a kind (``pods``, ``nodes``, ...), each the JSON of a list; pods that ended are left out.

        With ``node``, only the pods on that node, or of the nodes only that one: an empty list when it is gone.
        """

    def config_map(self, namespace: str, name: str) -> bytes | None:
        """A ConfigMap as JSON; None when there is none."""

    def write_config_map(self, namespace: str, name: str, manifest: bytes) -> None:
        """Create or replace a ConfigMap. With a ``resourceVersion`` in the manifest it is a compare-and-set and may raise Conflict."""

    def record(self, notices: Sequence[Notice], now: float) -> None:
        """Record events on objects; equal events of the last minutes are counted up, not repeated."""

    def patch_node(self, name: str, patch: bytes) -> None:
        """Merge-patch a node (taints, unschedulable); a ``resourceVersion`` in the patch makes it a compare-and-set."""

    def evict(self, namespace: str, pod: str, uid: str, grace_seconds: int) -> None:
        """Evict a pod through the eviction API; Throttled when a PodDisruptionBudget forbids it now, NotFound when it is gone."""

    def delete_pod(self, namespace: str, pod: str, uid: str, grace_seconds: int) -> None:
        """Delete a pod whatever its budgets say, or shorten the time it has left to end; NotFound when it is gone."""

    def delete_node(self, name: str) -> None:
        """Delete a Node object whose instance is gone."""


class Aws(Protocol):
    """Auto Scaling, EC2 and EKS of one account and region. Answers are the JSON of the API's describe calls."""

    def groups(self) -> Iterable[bytes]:
        """Pages of the Auto Scaling groups that the discovery tags or explicit names select."""

    def describe(self, question: Question) -> bytes | None:
        """The answer to a question, None when the thing it names is not there; several pages are joined into one answer."""

    def set_desired_capacity(self, group: str, desired: int) -> None:
        """SetDesiredCapacity to an absolute value."""

    def terminate(self, instance: str, *, decrement: bool = True) -> None:
        """TerminateInstanceInAutoScalingGroup; the desired capacity goes down with it, unless the group is to replace the instance."""

    def complete_lifecycle(self, hook: Hook, instance: str) -> None:
        """CompleteLifecycleAction with CONTINUE; an action that is no longer waited for counts as completed."""

    def heartbeat(self, hook: Hook, instance: str) -> None:
        """RecordLifecycleActionHeartbeat: the action takes longer."""


class Messages(Protocol):
    """How the interruption function goes on after its invocation has ended."""

    def again(self, reminder: Reminder, seconds: int) -> None:
        """Come back to a node in so many seconds, in another invocation."""

    def wake(self, at: float) -> None:
        """Have a scan look at the cluster at once, unless one has begun since ``at`` (seconds since the epoch)."""


class MemoryStore(Protocol):
    """Where memory lives between scans, and the lock that makes one scan at a time the writer of desired capacity."""

    def acquire(self, holder: str, now: float, seconds: float) -> bool:
        """Take the lock for ``seconds``; False when another holder has it."""

    def load(self) -> Memory:
        """The memory of the last scan; empty when there is none. Raises BadInput when the record cannot be read."""

    def save(self, memory: Memory) -> None:
        """Keep memory, if nobody else wrote since ``load``; raises Conflict otherwise."""

    def release(self) -> None:
        """Give the lock back."""


class InterruptionTelemetry(Protocol):
    """What operators see of interruptions besides Kubernetes."""

    def warn(self, sentence: str) -> None:
        """Say what went wrong."""

    def handled(self, message: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        """The one line of a message that was handled, and what is counted of it."""


class Telemetry(Protocol):
    """What operators see of a scan besides Kubernetes: log lines and metrics."""

    def planned(self, plan: Plan) -> None:
        """Say what is about to be done, before it is done."""

    def warn(self, sentence: str) -> None:
        """Say what went wrong without ending the scan."""

    def scanned(self, plan: Plan, summary: Mapping[str, object]) -> None:
        """The one line of a finished scan, and its metrics."""
