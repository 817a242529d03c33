"""Our predicates against the real kube-scheduler: it judges random pods one by one, and ours must say the same of each.

Nothing runs but etcd, the API server and the scheduler: what is on the cluster stays as it was made, since every pod is deleted after its
verdict. Ours reads that cluster through the API as a scan does.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.cluster.binaries import Binaries
from tests.cluster.control_plane import ControlPlane, Parts
from tests.cluster.random_cluster import NODES, nodes, running_pods, surroundings
from tests.cluster.random_pods import random_pod
from tests.cluster.scheduling import Api, Core, Verdict, our_reasons, scheduler_reasons, waiting

pytestmark = pytest.mark.control_plane

PODS = 400
RUNNING_SEED = 11
# Of nodes that the pod's affinity does not name the scheduler says only this, whatever else would keep the pod away.
RULED_OUT = "didn't satisfy plugin(s)"


@dataclass(frozen=True)
class Judged:
    """All verdicts of the scheduler by pod name, and our core on the same cluster."""

    verdicts: dict[str, Verdict]
    core: Core


@pytest.fixture(scope="module")
def api(binaries: Binaries) -> Iterator[Api]:
    with ControlPlane(binaries, parts=Parts(controllers=False, kubelets=False)) as running:
        yield Api(running)


@pytest.fixture(scope="module")
def judged(api: Api) -> Judged:
    for manifest in (*surroundings(), *nodes()):
        api.create(manifest)
    for pod in running_pods(RUNNING_SEED):
        api.create(pod)
        if "finalizers" in pod["metadata"]:
            api.delete(pod)
        elif pod["metadata"]["name"].endswith("-2"):
            api.finish(pod)
    found = [api.judge(random_pod(seed)) for seed in range(PODS)]
    verdicts = {verdict.pod["metadata"]["name"]: verdict for verdict in found}
    return Judged(verdicts, Core(api.observe([waiting(verdict.pod) for verdict in found])))


def test_the_core_understands_all_that_the_api_server_took(judged: Judged) -> None:
    assert judged.core.cluster.faults == ()
    assert len(judged.core.cluster.nodes) == NODES
    bound = sum(bool(verdict.node) for verdict in judged.verdicts.values())
    assert PODS / 4 < bound < 3 * PODS / 4, "the pods say little when nearly all fit, or none"


def test_every_pod_fits_where_the_scheduler_put_it(judged: Judged) -> None:
    wrong = {}
    for name, verdict in judged.verdicts.items():
        misfit = judged.core.misfits(name)[verdict.node] if verdict.node else None
        if misfit is not None:
            wrong[name] = (verdict.node, misfit)
    assert wrong == {}


def test_a_pod_that_the_scheduler_finds_no_node_for_fits_nowhere(judged: Judged) -> None:
    wrong = {}
    for name, verdict in judged.verdicts.items():
        fitting = [node for node, misfit in judged.core.misfits(name).items() if misfit is None]
        if fitting and not verdict.node:
            wrong[name] = (fitting, verdict.message)
    assert wrong == {}


def test_as_many_nodes_refuse_for_each_reason_as_the_scheduler_counts(judged: Judged) -> None:
    wrong: dict[str, tuple[Counter[str], Counter[str]]] = {}
    for name, verdict in judged.verdicts.items():
        if not verdict.node and RULED_OUT not in verdict.message:
            theirs, ours = scheduler_reasons(verdict.message, NODES), our_reasons(judged.core.misfits(name))
            if theirs != ours:
                wrong[name] = (theirs - ours, ours - theirs)
    assert wrong == {}
