"""A whole scan of a large cluster, from the bytes of the APIs to the plan: ``python -m tests.benchmarks.large_cluster [NODES PODS]``.

5,000 nodes and 100,000 pods unless said otherwise, with what real objects carry and the autoscaler skips: images, mounts, long annotations.
Prints how long reading, folding into shapes, and deciding take, and the peak memory of the process. The network is left out.
"""

import gc
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from lambda_autoscaler import questions
from lambda_autoscaler.core.decide import decide
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.observe import build_cluster
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.reading import observe

NODES, PODS = 5000, 100_000
WAITING, GROUPS, DEPLOYMENTS, NAMESPACES, PAGE = 1000, 20, 300, 50, 200
TYPE = "m5.4xlarge"
BORN = "2026-01-01T00:00:00Z"
NOW = 1_775_000_000.0
KIBIBYTES_PER_MEBIBYTE = 1024
JsonObject = dict[str, Any]


def node_name(number: int) -> str:
    return f"ip-10-{number // 65536}-{number // 256 % 256}-{number % 256}.ec2.internal"


def zone(number: int) -> str:
    return "us-east-1" + "abc"[number % 3]


def node(number: int) -> JsonObject:
    group = f"group-{number % GROUPS}"
    labels = {
        "kubernetes.io/hostname": node_name(number),
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": TYPE,
        "topology.kubernetes.io/zone": zone(number),
        "pool": group,
    }
    amounts = {"cpu": "15890m", "memory": "60Gi", "pods": "234", "ephemeral-storage": "75Gi"}
    return {
        "metadata": {"name": node_name(number), "uid": f"node-{number}", "creationTimestamp": BORN, "labels": labels},
        "spec": {"providerID": f"aws:///{zone(number)}/i-{number:017x}"},
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": BORN, "lastHeartbeatTime": BORN}],
            "images": [{"names": [f"registry/image-{image}@sha256:{'a' * 64}"], "sizeBytes": 10**8} for image in range(30)],
        },
    }


def pod(number: int, nodes: int, running: int) -> JsonObject:
    app, namespace = f"app-{number % DEPLOYMENTS}", f"team-{number % NAMESPACES}"
    bound = number < running
    millicores = 100 + number % DEPLOYMENTS % 7 * 50 + (0 if bound else 12_000)  # more than any node has left
    requests = {"cpu": f"{millicores}m", "memory": f"{256 + number % DEPLOYMENTS % 5 * 64}Mi"}
    mount = {"name": f"kube-api-access-{number:05x}", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    owner = {"kind": "ReplicaSet", "name": app, "apiVersion": "apps/v1", "uid": f"uid-{app}", "controller": True}
    tolerations = [
        {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute"} for key in ("not-ready", "unreachable")
    ]
    spec = {
        "containers": [{"name": "main", "image": "registry/image", "resources": {"requests": requests}, "volumeMounts": [mount]}],
        "tolerations": tolerations,
        "volumes": [{"name": mount["name"], "projected": {"sources": []}}],
        "schedulerName": "default-scheduler",
        "priority": 0,
    }
    placed = {"type": "PodScheduled", "status": "True" if bound else "False", "reason": "" if bound else "Unschedulable"}
    return {
        "metadata": {
            "name": f"{app}-{number:08x}",
            "namespace": namespace,
            "uid": f"pod-{number}",
            "creationTimestamp": BORN,
            "labels": {"app": app, "pod-template-hash": app},
            "annotations": {"sidecar.example.com/status": "x" * 3000},
            "ownerReferences": [owner],
        },
        "spec": {**spec, "nodeName": node_name(number % nodes)} if bound else spec,
        "status": {"phase": "Running" if bound else "Pending", "startTime": BORN if bound else None, "conditions": [placed]},
    }


class LargeKube:
    """Lists of the cluster, made page by page; ``seconds`` is what making them took."""

    def __init__(self, nodes: int, pods: int) -> None:
        everything = pods + WAITING
        self._makers: dict[str, tuple[int, Callable[[int], JsonObject]]] = {
            "nodes": (nodes, node),
            "pods": (everything, lambda number: pod(number, nodes, pods)),
            "namespaces": (NAMESPACES, lambda number: {"metadata": {"name": f"team-{number}"}}),
            "replicasets": (DEPLOYMENTS, _replica_set),
        }
        self.seconds = 0.0

    def list(self, plural: str, node: str = "") -> Iterator[bytes]:
        count, make = self._makers.get(plural, (0, node_name))
        for start in range(0, count, PAGE):
            began = time.perf_counter()
            page = msgspec.json.encode({"metadata": {}, "items": [make(number) for number in range(start, min(count, start + PAGE))]})
            self.seconds += time.perf_counter() - began
            yield page

    def config_map(self, namespace: str, name: str) -> bytes | None:
        return None


def _replica_set(number: int) -> JsonObject:
    metadata = {"name": f"app-{number}", "namespace": f"team-{number % NAMESPACES}", "uid": f"uid-app-{number}"}
    return {"metadata": metadata, "spec": {"replicas": 1000}}


class LargeAws:
    """The Auto Scaling groups of the cluster."""

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes

    def groups(self) -> Iterable[bytes]:
        yield msgspec.json.encode({"AutoScalingGroups": [self._group(number) for number in range(GROUPS)]})

    def _group(self, number: int) -> JsonObject:
        members = range(number, self._nodes, GROUPS)
        return {
            "AutoScalingGroupName": f"group-{number}",
            "MinSize": 0,
            "MaxSize": 1000,
            "DesiredCapacity": len(members),
            "AvailabilityZones": [zone(0), zone(1), zone(2)],
            "LaunchTemplate": {"LaunchTemplateId": "lt-0", "Version": "1"},
            "Instances": [
                {"InstanceId": f"i-{one:017x}", "AvailabilityZone": zone(one), "LifecycleState": "InService", "HealthStatus": "Healthy"}
                for one in members
            ],
        }

    def describe(self, question: questions.Question) -> bytes | None:
        match question:
            case questions.LaunchTemplate():
                version = {"LaunchTemplateId": "lt-0", "VersionNumber": 1, "LaunchTemplateData": {"InstanceType": TYPE}}
                return msgspec.json.encode({"LaunchTemplateVersions": [version]})
            case questions.InstanceTypes(names):
                amounts = {"VCpuInfo": {"DefaultVCpus": 16}, "MemoryInfo": {"SizeInMiB": 65536}}
                return msgspec.json.encode({"InstanceTypes": [{"InstanceType": name, **amounts} for name in names]})
            case _:
                return None


def main(nodes: int, pods: int) -> None:
    """Scan once, without acting, and print."""
    gc.disable()  # as the function scans
    kube, options = LargeKube(nodes, pods), Options(cluster_name="large")
    before = _peak_mebibytes()
    began = time.perf_counter()
    observed = observe(kube, LargeAws(nodes), options)  # type: ignore[arg-type]  # a scan that acts would need the rest of the ports
    read = time.perf_counter()
    cluster = build_cluster(observed, options)
    folded = time.perf_counter()
    plan = decide(cluster, Memory(), options, NOW)
    decided = time.perf_counter()
    print(f"{nodes:,} nodes, {pods:,} running pods, {WAITING:,} waiting: {plan.result.value}")
    print(f"read from JSON      {(read - began - kube.seconds) * 1000:6,.0f} ms")
    print(f"folded into shapes  {(folded - read) * 1000:6,.0f} ms")
    print(f"decided             {(decided - folded) * 1000:6,.0f} ms")
    print(f"peak memory         {_peak_mebibytes():6,.0f} MiB, of which {before:,.0f} before the scan")


def _peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIBIBYTES_PER_MEBIBYTE


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3])) if len(sys.argv) > 2 else main(NODES, PODS)
