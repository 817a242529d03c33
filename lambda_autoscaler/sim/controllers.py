"""The controllers of the simulated cluster: Deployments keep their replicas, DaemonSets put a pod on every node that takes them."""

import random

import msgspec

from lambda_autoscaler.core.kubernetes import Taint, Toleration
from lambda_autoscaler.core.taints import untolerated
from lambda_autoscaler.ports import BadInput
from lambda_autoscaler.sim.cluster import ClusterState
from lambda_autoscaler.sim.manifests import Manifest, metadata, owner_reference, stable_uid, workload
from lambda_autoscaler.sim.pods import PodTemplate, SimPod
from lambda_autoscaler.sim.specification import WorkloadSpecification

SYSTEM_NODE_CRITICAL = 2_000_001_000
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


class SimDeployment(msgspec.Struct, eq=False):
    """A Deployment with its one ReplicaSet. ``pods`` are all its pods, also those on their way out."""

    namespace: str
    name: str
    replica_set: Manifest
    template: PodTemplate
    replicas: int
    pods: dict[str, SimPod] = {}


class Controllers:
    """All workloads of the cluster."""

    def __init__(self, state: ClusterState, seed: int) -> None:
        self.deployments: dict[tuple[str, str], SimDeployment] = {}
        self._state = state
        self._daemons: list[tuple[str, str, PodTemplate]] = []
        self._random = random.Random(seed)

    def add_deployment(self, specification: WorkloadSpecification) -> None:
        """Create a Deployment; its pods come with the next ``settle``."""
        namespace, name = specification.namespace, specification.name
        self._state.ensure_namespace(namespace)
        template_hash = stable_uid(namespace, name)[:8]
        labels = {"app": name, "pod-template-hash": template_hash}
        manifest = {"metadata": {"labels": labels}, "spec": specification.pod}
        meta = metadata(namespace, f"{name}-{template_hash}", self._state.agenda.now, labels)
        replica_set = workload("ReplicaSet", meta, manifest, specification.replicas)
        template = PodTemplate(manifest, owner_reference(replica_set))
        self.deployments[namespace, name] = SimDeployment(namespace, name, replica_set, template, specification.replicas)
        self._state.put("replicasets", replica_set)

    def add_daemon_set(self, specification: WorkloadSpecification) -> None:
        """Create a DaemonSet; nodes get its pods when they register."""
        namespace, name = specification.namespace, specification.name
        self._state.ensure_namespace(namespace)
        manifest = {"metadata": {"labels": {"k8s-app": name}}, "spec": {"priority": SYSTEM_NODE_CRITICAL, **specification.pod}}
        daemon_set = workload("DaemonSet", metadata(namespace, name, self._state.agenda.now), manifest)
        self._state.put("daemonsets", daemon_set)
        self._daemons.append((namespace, name, PodTemplate(manifest, owner_reference(daemon_set), daemon=True)))

    def scale(self, namespace: str, name: str, replicas: int) -> int:
        """Set a Deployment's replicas and return what they were. Raises BadInput when there is no such Deployment."""
        deployment = self.deployments.get((namespace, name))
        if deployment is None:
            known = ", ".join(f"{space}/{known}" for space, known in self.deployments) or "none"
            raise BadInput(f"there is no Deployment {namespace}/{name} in the simulated cluster (there are: {known})")
        before, deployment.replicas = deployment.replicas, replicas
        deployment.replica_set = {**deployment.replica_set, "spec": {**deployment.replica_set["spec"], "replicas": replicas}}
        self._state.put("replicasets", deployment.replica_set)
        return before

    def join(self, node: Manifest) -> list[SimPod]:
        """Put the DaemonSets' pods on a new node."""
        name = node["metadata"]["name"]
        return [
            self._state.create_pod(namespace, self._pod_name(namespace, daemon), template, name)
            for namespace, daemon, template in self._daemons
            if _daemon_suits(template.manifest["spec"], node)
        ]

    def settle(self) -> None:
        """Bring every Deployment to its number of pods: missing ones are created, surplus ones end, waiting and youngest first."""
        for deployment in self.deployments.values():
            self._forget_gone(deployment)
            active = [pod for pod in deployment.pods.values() if pod.deletion is None]
            for _ in range(deployment.replicas - len(active)):
                name = self._pod_name(deployment.namespace, deployment.replica_set["metadata"]["name"])
                deployment.pods[name] = self._state.create_pod(deployment.namespace, name, deployment.template)
            surplus = max(0, len(active) - deployment.replicas)
            for pod in sorted(active, key=lambda pod: (bool(pod.node), -pod.created))[:surplus]:
                self._state.remove_pod(pod)

    def _forget_gone(self, deployment: SimDeployment) -> None:
        gone = [name for name, pod in deployment.pods.items() if self._state.pods.get(pod.key) is not pod]
        for name in gone:
            del deployment.pods[name]

    def _pod_name(self, namespace: str, stem: str) -> str:
        while True:
            name = f"{stem}-{''.join(self._random.choices(_SUFFIX_LETTERS, k=5))}"
            if (namespace, name) not in self._state.pods:
                return name


def _daemon_suits(spec: Manifest, node: Manifest) -> bool:
    labels = node["metadata"]["labels"]
    if any(labels.get(key) != value for key, value in spec.get("nodeSelector", {}).items()):
        return False
    tolerations = msgspec.convert(spec.get("tolerations", []), list[Toleration])
    tolerations.append(Toleration(key="node.kubernetes.io/not-ready", operator="Exists"))
    return untolerated(msgspec.convert(node["spec"].get("taints", []), list[Taint]), tolerations) is None
