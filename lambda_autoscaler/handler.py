"""Lambda entry points of two functions of one package.

``interruption`` is invoked by the queue of EC2 events, with up to ten messages; those that fail are reported one by one and come again.
``scan`` is invoked by EventBridge Scheduler (or a scheduled rule) once a minute, and scans once or as often as the settings say. Whatever
makes a scan impossible is logged as one line and raised, so that the invocation counts as an error and alarms see it; an event that is not
a scheduled one is such a fault, since it means that something is wired wrongly. Options, clients and the cluster's endpoint are made once
per container. When the API server cannot be reached they are forgotten: the cluster may have been given a new endpoint or certificate
authority.
"""

import gc
import os
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from aws_lambda_powertools import Logger

from lambda_autoscaler.app import Edges, ScanReport
from lambda_autoscaler.app import scan as run_scan
from lambda_autoscaler.core.events import Home
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.edge.aws import AwsClient, client_config
from lambda_autoscaler.edge.kube import KubeClient
from lambda_autoscaler.edge.kube_auth import EksToken, eks_connection
from lambda_autoscaler.edge.kube_http import KubeHttp
from lambda_autoscaler.edge.memory import ConfigMapMemory
from lambda_autoscaler.edge.messages import WAKE_REASON, QueueMessages
from lambda_autoscaler.edge.telemetry import DEFAULT_NAMESPACE, PowertoolsTelemetry
from lambda_autoscaler.interrupting import Interrupter, InterruptionEdges
from lambda_autoscaler.offering import Offering
from lambda_autoscaler.ports import AutoscalerError, BadInput, Unreachable
from lambda_autoscaler.repeating import repeated
from lambda_autoscaler.settings import environment_flags, from_environment, notes_on

SOURCES: Final = ("aws.scheduler", "aws.events")
DETAIL_TYPE: Final = "Scheduled Event"
CLUSTER_NAME: Final = "AUTOSCALER_CLUSTER_NAME"
QUEUE_URL: Final = "INTERRUPTION_QUEUE_URL"
SCAN_FUNCTION: Final = "SCAN_FUNCTION"
# Answers to events are small, and a request that is not answered is sent once more. A message is begun only with time left for that: one
# that is cut off has perhaps sent its reminder, and would send another when it comes again.
ANSWER_SECONDS: Final = 5.0
ANSWER_ATTEMPTS: Final = 2
MESSAGE_SECONDS: Final = 12.0
DESCRIBE_SECONDS: Final = 12.0
# The rest of an invocation: where there are several clusters, one that is silent costs the others the time of one request.
SILENCE_SECONDS: Final = 20.0

logger = Logger()
# Interrupters of this container, by cluster.
_kept: Final[dict[str, Interrupter]] = {}
# When the last scan of a cluster that went well in this container began.
_scanned: Final[dict[str, float]] = {}
# Clocks of two functions differ by less.
CLOCK_DIFFERENCE: Final = 1.0


def scan(event: Any, context: Any) -> dict[str, object]:
    """Scan a cluster that AUTOSCALER_CLUSTER_NAME names; returns the summary of the last scan and the number of scans.

    One function may serve several clusters (names separated by ``;``); the event's detail then says which one to scan.
    """
    logger.append_keys(function_request_id=context.aws_request_id)
    try:
        _check_event(event)
        cluster = _wanted(event)
        if _was_scanned_since(event, cluster):
            return {"result": "ScannedSince", "scans": 0}
        edges, options = _wired(cluster)
        holder = f"{context.function_name}:{context.function_version}/{context.aws_request_id}"

        def seconds_left() -> float:
            return _seconds_left(context)

        def one_scan() -> ScanReport:
            now = time.time()  # noqa: TID251 - the entry point gives the scan its clock
            gc.disable()  # a scan makes many objects and hardly a cycle: collecting while it runs costs a tenth of it
            try:
                report = run_scan(edges, options, now, holder, seconds_left)
            finally:
                gc.enable()
            if report.has_answered:
                _scanned[cluster] = now
            return report

        reports = repeated(one_scan, options.scan_interval, seconds_left, time.sleep)
        return {**reports[-1].summary(), "scans": len(reports)}
    except AutoscalerError as fault:
        logger.error(f"scan failed: {type(fault).__name__}: {fault}")  # noqa: TRY400 - one line; the runtime prints the traceback
        if isinstance(fault, Unreachable):
            _wired.cache_clear()
        raise


def _was_scanned_since(event: Mapping[str, Any], cluster: str) -> bool:
    """Whether an event that wakes the scan comes after a scan that has seen what it is about: a storm of warnings wakes it many times."""
    detail = event.get("detail")
    at = detail.get("at") if isinstance(detail, Mapping) and detail.get("reason") == WAKE_REASON else None
    return isinstance(at, int | float) and at + CLOCK_DIFFERENCE < _scanned.get(cluster, 0.0)


def interruption(event: Any, context: Any) -> dict[str, Any]:
    """Handle a batch of messages; returns those that failed, in the form that SQS event sources want."""
    # The scan, which shares this module, needs none of it and starts sooner without.
    from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response  # noqa: PLC0415

    logger.append_keys(function_request_id=context.aws_request_id)
    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    interrupters, absent = _interrupters(_home(context.invoked_function_arn), lambda: _seconds_left(context))
    offering = Offering(interrupters, absent, lambda: _seconds_left(context), time.sleep, MESSAGE_SECONDS)
    answer = process_partial_response(
        event=event, record_handler=lambda record: _offer(offering, record.body), processor=processor, context=context
    )
    for cluster, silence in offering.unreachable.items():
        logger.error(f"cluster {cluster} did not answer and is described afresh next time: {silence}")
        _kept.pop(cluster, None)
    for interrupter in interrupters.values():
        try:
            interrupter.finish()
        except AutoscalerError as fault:
            logger.error(f"no scan was woken, the next one comes within a minute: {fault}")  # noqa: TRY400 - one line
    return dict(answer)


def _interrupters(home: Home, seconds_left: Callable[[], float]) -> tuple[dict[str, Interrupter], dict[str, AutoscalerError]]:
    """Interrupters of the clusters that can be served, by name, and why the others cannot. Raises what is wrong when there is none.

    Those that have served longest come first, so that a cluster that was silent and is described afresh is asked last.
    """
    absent: dict[str, AutoscalerError] = {}
    for cluster in _clusters():
        try:
            if cluster not in _kept:
                # After a failure, only if a message can be handled even when this one fails too.
                if absent and seconds_left() < DESCRIBE_SECONDS + MESSAGE_SECONDS:
                    raise Unreachable("no time is left to describe it")
                _kept[cluster] = _interrupter(cluster, home)
        except AutoscalerError as fault:
            logger.error(f"cluster {cluster} is not served: {type(fault).__name__}: {fault}")  # noqa: TRY400 - one line
            absent[cluster] = fault
    if not _kept:
        raise next(iter(absent.values()))
    return dict(_kept), absent


def _offer(offering: Offering, body: str) -> None:
    try:
        offering.offer(body)
    except AutoscalerError as fault:
        logger.error(f"a message failed: {type(fault).__name__}: {fault}")  # noqa: TRY400 - one line
        raise


def _seconds_left(context: Any) -> float:
    return float(context.get_remaining_time_in_millis()) / 1000


def _home(function_arn: str) -> Home:
    region, account = function_arn.split(":")[3:5]
    return Home(account, region)


def _interrupter(cluster: str, home: Home) -> Interrupter:
    """The interrupter of a cluster. Raises BadInput with all faults of the settings, or errors of eks:DescribeCluster."""
    options = from_environment(_environment(cluster))
    for name in (QUEUE_URL, SCAN_FUNCTION):
        if not os.environ.get(name):
            raise BadInput(f"the variable {name} is not set: the interruption function needs it")
    aws = AwsClient(options, config=client_config(ANSWER_SECONDS, ANSWER_ATTEMPTS))
    connection = eks_connection(aws.describe_cluster(), EksToken(aws.client("sts"), options.cluster_name))
    http = KubeHttp(connection, ANSWER_SECONDS, SILENCE_SECONDS if len(_clusters()) > 1 else 0.0)
    telemetry = PowertoolsTelemetry(logger, options, os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or DEFAULT_NAMESPACE)
    messages = QueueMessages(aws.client, os.environ[QUEUE_URL], os.environ[SCAN_FUNCTION], home, cluster if len(_clusters()) > 1 else "")
    edges = InterruptionEdges(KubeClient(http), aws, messages, telemetry, time.time)  # noqa: TID251 - the entry point gives the clock
    return Interrupter(edges, options, home)


def _clusters() -> list[str]:
    """Names of the clusters that the function serves."""
    return [name.strip() for name in os.environ.get(CLUSTER_NAME, "").split(";") if name.strip()] or [""]


def _wanted(event: Mapping[str, Any]) -> str:
    """The cluster to scan. Raises BadInput when the event names none of the function's, or none where there are several."""
    names, detail = _clusters(), event.get("detail")
    wanted = detail.get("cluster", "") if isinstance(detail, Mapping) else ""
    if not wanted and len(names) == 1:
        return names[0]
    if wanted not in names:
        raise BadInput(f"the event is for cluster {wanted!r}; this function serves {', '.join(names)}: its detail must name one as cluster")
    return str(wanted)


def _environment(cluster: str) -> dict[str, str]:
    """The environment with the one cluster in it; without any the settings say what is missing."""
    return {**os.environ, CLUSTER_NAME: cluster} if cluster else dict(os.environ)


def _check_event(event: Any) -> None:
    """Raises BadInput when the event does not come from a schedule."""
    fields = event if isinstance(event, Mapping) else {}
    source, kind = fields.get("source"), fields.get("detail-type")
    if source not in SOURCES or kind != DETAIL_TYPE:
        got = f"source {source!r} and detail-type {kind!r}" if fields else f"{type(event).__name__} without fields"
        wanted = f"source {' or '.join(map(repr, SOURCES))} and detail-type {DETAIL_TYPE!r}"
        raise BadInput(f"the event is not a scheduled one: it has {got}; expected {wanted}")


@cache
def _wired(cluster: str) -> tuple[Edges, Options]:
    """Edges and options of a cluster in this container. Raises BadInput for faults of the settings, or what eks:DescribeCluster raises."""
    options = from_environment(_environment(cluster))
    for note in notes_on(environment_flags(os.environ)):
        logger.warning(note)
    aws = AwsClient(options)
    http = KubeHttp(eks_connection(aws.describe_cluster(), EksToken(aws.client("sts"), options.cluster_name)))
    telemetry = PowertoolsTelemetry(logger, options, os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or DEFAULT_NAMESPACE)
    kube = KubeClient(http, record_duplicates=options.record_duplicated_events)
    return Edges(kube, aws, ConfigMapMemory(http, options.namespace), telemetry, time.sleep), options
