"""The disruption controller of the simulated cluster: how many pods of a PodDisruptionBudget may go now."""

import msgspec

from lambda_autoscaler.core.kubernetes import LabelSelector
from lambda_autoscaler.core.labels import all_hold, requirements_of
from lambda_autoscaler.core.model import Requirement
from lambda_autoscaler.sim.cluster import ClusterState
from lambda_autoscaler.sim.manifests import Manifest
from lambda_autoscaler.sim.pods import SimPod


def budgets_of(pod: SimPod, state: ClusterState) -> list[Manifest]:
    """Budgets whose selector matches a pod."""
    return [
        budget
        for (namespace, _), budget in state.objects.get("poddisruptionbudgets", {}).items()
        if namespace == pod.namespace and _selects(_requirements(budget), pod)
    ]


def refresh_budgets(state: ClusterState) -> None:
    """Count the pods of every budget and write ``disruptionsAllowed`` where it changed."""
    for (namespace, _), budget in list(state.objects.get("poddisruptionbudgets", {}).items()):
        requirements = _requirements(budget)
        guarded = [pod for pod in state.pods if pod.namespace == namespace and _selects(requirements, pod)]
        available = sum(pod.is_available for pod in guarded)
        allowed = max(0, available - _wanted(budget, len(guarded)))
        if budget["status"].get("disruptionsAllowed") != allowed:
            state.put("poddisruptionbudgets", {**budget, "status": {**budget["status"], "disruptionsAllowed": allowed}})


def _wanted(budget: Manifest, guarded: int) -> int:
    """Pods that must stay up; a percentage is rounded up, as the controller does."""
    spec = budget["spec"]
    if "maxUnavailable" in spec:
        return guarded - _share(spec["maxUnavailable"], guarded)
    return _share(spec.get("minAvailable", 1), guarded)


def _share(value: int | str, total: int) -> int:
    return -(-total * int(value.rstrip("%")) // 100) if isinstance(value, str) else value


def _requirements(budget: Manifest) -> tuple[Requirement, ...] | None:
    return requirements_of(msgspec.convert(budget["spec"].get("selector"), LabelSelector | None))


def _selects(requirements: tuple[Requirement, ...] | None, pod: SimPod) -> bool:
    return requirements is not None and all_hold(requirements, pod.labels)
