"""An AWS account of its own for a test: moto behind a shim, on one local address.

    with AwsWorld() as world:
        world.client("eks").list_clusters()

The account is 123456789012, the region us-east-1. ``world.url`` serves every service: clients of other processes find
it through AWS_ENDPOINT_URL. The administrator may do everything; a role may do what its declared policies say, with
the credentials that ``credentials_of`` gives. moto keeps its state in this process, so that two worlds at a time would
share it: use one after the other.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import boto3
import urllib3
from botocore.config import Config
from moto.server import ThreadedMotoServer
from werkzeug.serving import BaseWSGIServer, make_server

from tests.cluster.account_events import AccountEvents
from tests.cluster.aws_guard import Guard
from tests.cluster.aws_protocol import Parsed
from tests.cluster.aws_shim import Answer, Call, Shim
from tests.cluster.eks_access import EksAccess, utc_now
from tests.cluster.eks_add_ons import EksAddOns
from tests.cluster.eks_clusters import EksClusters
from tests.cluster.eks_node_groups import EksNodeGroups
from tests.cluster.event_source_mappings import EventSourceMappings
from tests.cluster.group_capacity import Clock, GroupCapacity
from tests.cluster.iam_evaluation import Access
from tests.cluster.instance_ends import InstanceEnds
from tests.cluster.lambda_invocations import LambdaInvocations
from tests.cluster.lambda_recursion import LambdaRecursion
from tests.cluster.principals import ACCOUNT, ADMINISTRATOR, Credentials, Principal, Principals
from tests.cluster.sqs_queues import SqsQueues
from tests.cluster.timers import Timers

RESET_SECONDS = 60.0
REGION = "us-east-1"


class AwsWorld:
    """One AWS account; a context manager. ``clock`` (UTC) dates what the world makes.

    ``instances`` ends instances as EC2 does, ``events`` is the default bus, ``invocations`` knows where functions run.
    """

    def __init__(self, clock: Clock = utc_now) -> None:
        self._moto_server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server: BaseWSGIServer | None = None
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._lock = threading.Lock()
        self._principals = Principals(self._moto)
        self._queues = SqsQueues(self._moto)
        self._guard = Guard(self._principals, self._moto, self._queues)
        self._mappings = EventSourceMappings(self._principals, self._moto, clock)
        self._capacity = GroupCapacity(self._moto, clock)
        self._timers = Timers()
        self.events = AccountEvents(self._moto, self.may_send, clock)
        self.instances = InstanceEnds(self._moto, self._capacity, self.events, self._timers)
        self.invocations = LambdaInvocations(self._timers)
        self._recursion = LambdaRecursion()
        self._clusters = EksClusters(self._moto)
        self._access = EksAccess(self._moto, self._authentication_mode, clock)
        self._add_ons = EksAddOns(self._authentication_mode, self._access, clock)
        self._node_groups = EksNodeGroups(self._moto, self._capacity, self._access, self._add_ons)

    def __enter__(self) -> Self:
        """Start moto and the shim, with an empty account."""
        # moto's server would print a line for each request.
        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        self._moto_server.start()
        self._shim = Shim(self._moto_url, self._principals, self._guard, self._answers())
        self._server = make_server("127.0.0.1", 0, self._shim, threaded=True)
        threading.Thread(target=self._server.serve_forever, daemon=True, name="aws-world").start()
        self.reset()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop both servers; raises what failed in the background."""
        errors = self._timers.errors
        self._timers.forget()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self._moto_server.stop()
        if errors and error is None:
            raise errors[0]

    @property
    def url(self) -> str:
        """The address of every AWS service, without a slash at the end."""
        assert self._server is not None, "the world is not entered"
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def calls(self) -> list[Call]:
        """Every call that reached ``url``, oldest first."""
        return self._shim.calls

    def writes(self, principal: str = "") -> list[Call]:
        """The calls made to change something, by principals whose ARN contains ``principal``."""
        return [call for call in self.calls if call.is_write and principal in call.principal]

    def forget_calls(self) -> None:
        """Start the record of calls anew."""
        self._shim.forget_calls()

    def reset(self) -> None:
        """An empty account: no resources, sessions, faults or calls."""
        urllib3.request("POST", f"{self._moto_url}/moto-api/reset", timeout=RESET_SECONDS).close()
        for part in self._parts():
            part.forget()
        self._shim.forget_calls()

    def client(self, service: str, credentials: Credentials | None = None) -> Any:
        """A boto3 client; the administrator's if no ``credentials`` are given. One try per call, clients are shared."""
        return self._client(service, credentials or ADMINISTRATOR, self.url)

    def credentials_of(
        self,
        role_arn: str,
        service: str = "lambda.amazonaws.com",
        session_name: str = "session",
        context: Mapping[str, str] | None = None,
    ) -> Credentials:
        """What an AWS ``service`` gets when it takes the role, if the role's trust allows it (else AwsError).

        ``context`` holds condition keys such as ``aws:SourceArn``. Lambda names its sessions after the function.
        """
        answer = self._principals.assume(role_arn, session_name, ("Service", service), context or {})
        keys = answer["Credentials"]
        return Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])

    def may_invoke(self, role_arn: str, function_arn: str) -> None:
        """AwsError unless EventBridge Scheduler, for a schedule of this account's default group, may take the role and invoke the function.

        moto cannot carry the call out; this is the check that would stand before it.
        """
        source = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/default"}
        answer = self._principals.assume(role_arn, "scheduler", ("Service", "scheduler.amazonaws.com"), source)
        caller = answer["AssumedRoleUser"]["Arn"]
        self._guard.require(caller.split("/")[1], caller, Access("lambda:InvokeFunction", function_arn, {}), "rest-json")

    def may_send(self, rule_arn: str, queue_arn: str, *, secure: bool = True) -> None:
        """AwsError unless the queue's policy lets EventBridge send to it for the rule; not ``secure`` means without TLS.

        moto's EventBridge asks no policy; this is the check that would stand before each message.
        """
        context = {"aws:SourceArn": rule_arn, "aws:SourceAccount": rule_arn.split(":")[4], "aws:SecureTransport": str(secure).lower()}
        self._guard.require_of_resource("events.amazonaws.com", Access("sqs:SendMessage", queue_arn, context))

    def set_cluster_endpoint(self, name: str, endpoint: str, ca_pem: bytes) -> None:
        """Let DescribeCluster name a real control plane: its URL and the PEM of its certificate authority."""
        self._clusters.set_endpoint(name, endpoint, ca_pem)

    def fail_launches(self, group: str, message: str) -> None:
        """Let launches of an Auto Scaling group fail with ``message``, until ``release_launches``."""
        self._capacity.fail(group, message)

    def hold_launches(self, group: str) -> None:
        """Let launches of an Auto Scaling group take until ``release_launches``."""
        self._capacity.hold(group)

    def release_launches(self, group: str, count: int | None = None) -> None:
        """Let ``count`` missing instances come; all if None, which also ends ``fail_launches`` and ``hold_launches``."""
        self._capacity.release(group, count)

    def add_scaling_activity(self, group: str, status: str, message: str) -> None:
        """Add an activity to what DescribeScalingActivities answers, newest first."""
        self._capacity.record(group, status, message)

    @property
    def _moto_url(self) -> str:
        host, port = self._moto_server.get_host_and_port()
        return f"http://{host}:{port}"

    def _moto(self, service: str) -> Any:
        """A client that reaches moto past the shim: unguarded and unrecorded."""
        return self._client(service, ADMINISTRATOR, self._moto_url)

    def _client(self, service: str, credentials: Credentials, url: str) -> Any:
        key = (service, credentials.access_key, url)
        with self._lock:
            if key not in self._clients:
                session = boto3.Session(
                    aws_access_key_id=credentials.access_key,
                    aws_secret_access_key=credentials.secret_key,
                    aws_session_token=credentials.session_token,
                    region_name=REGION,
                )
                settings = Config(retries={"total_max_attempts": 1}, parameter_validation=True)
                self._clients[key] = session.client(service, endpoint_url=url, config=settings)
            return self._clients[key]

    def _authentication_mode(self, cluster: str) -> str:
        mode: str = self._clusters.describe(cluster).get("accessConfig", {}).get("authenticationMode", "CONFIG_MAP")
        return mode

    def _parts(self) -> tuple[Any, ...]:
        parts = (self._principals, self._capacity, self._clusters, self._access, self._add_ons, self._node_groups)
        return (*parts, self._queues, self._mappings, self._timers, self.events, self.instances, self.invocations, self._recursion)

    def _answers(self) -> dict[tuple[str, str], Answer]:
        parts = (
            ("autoscaling", self._capacity.answers),
            ("autoscaling", self.instances.answers),
            ("eks", self._clusters.answers),
            ("eks", self._access.answers),
            ("eks", self._add_ons.answers),
            ("eks", self._node_groups.answers),
            ("lambda", self._mappings.answers),
            ("lambda", self.invocations.answers),
            ("lambda", self._recursion.answers),
            ("sqs", self._queues.answers),
        )
        answers: dict[tuple[str, str], Answer] = {
            ("sts", "GetCallerIdentity"): _caller_identity,
            ("sts", "AssumeRole"): self._assume_role,
            ("sqs", "SendMessage"): lambda request, _: self._queues.send_message(request.params, request.trace),
        }
        for service, plain_answers in parts:
            answers |= {(service, operation): _plain(answer) for operation, answer in plain_answers.items()}
        answers["eks", "CreateCluster"] = self._create_cluster
        return answers

    def _create_cluster(self, request: Parsed, principal: Principal) -> dict[str, Any]:
        answer = self._clusters.answers["CreateCluster"](request.params)
        if answer["cluster"]["accessConfig"]["bootstrapClusterCreatorAdminPermissions"]:
            self._access.admit_creator(request.params["name"], principal.arn)
        role = request.params.get("computeConfig", {}).get("nodeRoleArn")
        if role:
            self._access.admit_auto_mode(request.params["name"], role)
        return answer

    def _assume_role(self, request: Parsed, principal: Principal) -> dict[str, Any]:
        params = request.params
        return self._principals.assume(params["RoleArn"], params["RoleSessionName"], ("AWS", principal.arn), {})


def _plain(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> Answer:
    return lambda request, _: answer(request.params)


def _caller_identity(_: Parsed, principal: Principal) -> dict[str, Any]:
    return {"Account": principal.arn.split(":")[4], "Arn": principal.arn, "UserId": principal.user_id}
