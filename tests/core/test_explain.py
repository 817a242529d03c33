import msgspec
import pytest

from lambda_autoscaler.core.answers import NO, UP, YES, Reason, Scene, explain_group, explain_node, explain_pod
from lambda_autoscaler.core.explain import (
    counted,
    group_rows,
    not_triggered_message,
    plain_reason,
    plan_json,
    pod_lines,
    scale_up_line,
    short_name,
    unschedulable_message,
    upstream_reasons,
    workload_name,
)
from lambda_autoscaler.core.kubernetes import Taint
from lambda_autoscaler.core.model import Cluster, Controller, Node, NodeCondition, PodRef, PodSet, PodShape
from lambda_autoscaler.core.plan import (
    GroupStatus,
    Increase,
    Misfit,
    OptionSummary,
    PendingPods,
    Plan,
    Removal,
    Rule,
    ScaleUpResult,
)

SPOT = "eks-spot-4vcpu-16gb-115c3f26-2070-5961-b45c-8957030f9abc"
WEB = PodShape(
    key=0,
    namespace="default",
    labels=(("app", "web"), ("pod-template-hash", "5d8f")),
    requests=(("cpu", 1500), ("memory", 3 * 2**30)),
    controller=Controller("ReplicaSet", "web-5d8f", "u"),
)
TAINTED = Misfit(Rule.TAINT, "team=ml:NoSchedule")
SHORT = Misfit(Rule.RESOURCE, "cpu,memory")


def status(name: str, target: int = 2) -> GroupStatus:
    return GroupStatus(name, True, target, 0, 0, 0, target, 0, 0, target, 0, 7)


def pending(outcome: str, *reasons: tuple[str, Misfit], count: int = 3) -> PendingPods:
    return PendingPods(WEB, tuple(PodRef(f"web-{index}", created=100.0) for index in range(count)), outcome, reasons)


GROWING = Plan(
    ScaleUpResult.SUCCESSFUL,
    increases=(Increase(SPOT, 2, 7, 7),),
    pods=(pending("triggered"), pending("unhelped", ("ml", TAINTED), ("tiny", SHORT), count=1)),
    options=(OptionSummary(SPOT, 5, 3, 0.5, chosen=True), OptionSummary("other", 9, 3, 0.9)),
    skipped_groups=(("full", Misfit(Rule.MAX_SIZE)),),
    groups=(status("full"), status("ml"), status("other"), status(SPOT), status("tiny")),
)


@pytest.mark.parametrize("rule", list(Rule))
def test_every_rule_has_a_sentence_of_upstream_and_a_plain_one(rule: Rule) -> None:
    assert all(upstream_reasons(Misfit(rule, "thing")))
    assert "{" not in plain_reason(Misfit(rule, "thing"))
    assert plain_reason(Misfit(rule))


def test_the_event_counts_the_reasons_of_the_groups() -> None:
    misfits = [Misfit(Rule.MAX_SIZE), TAINTED, Misfit(Rule.TAINT, "gpu=true:NoSchedule"), Misfit(Rule.RESOURCE, "memory")]
    assert not_triggered_message(misfits) == (
        "pod didn't trigger scale-up: 2 node(s) had untolerated taint(s), 1 Insufficient memory, 1 max node group size reached"
    )


def test_each_resource_that_is_short_counts() -> None:
    assert unschedulable_message(2, {SHORT: 1, Misfit(Rule.RESOURCE, "pods"): 1}) == (
        "0/2 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 Too many pods."
    )
    assert unschedulable_message(0, {}) == "no nodes available to schedule pods"


def test_the_log_line_is_upstreams() -> None:
    assert scale_up_line([Increase("a", 1, 2, 5), Increase("b", 0, 3, 3)]) == "Final scale-up plan: [{a 1->2 (max: 5)} {b 0->3 (max: 3)}]"


@pytest.mark.parametrize(("name", "short"), [(SPOT, "spot-4vcpu-16gb"), ("eks-spot", "eks-spot"), ("my-asg", "my-asg")])
def test_groups_that_eks_named_are_called_as_the_user_named_them(name: str, short: str) -> None:
    assert short_name(name) == short


def test_pods_are_called_after_the_deployment_behind_their_replicaset() -> None:
    assert workload_name(WEB) == "default/web"
    stateful = msgspec.structs.replace(WEB, controller=Controller("StatefulSet", "db", "u"))
    assert workload_name(stateful) == "default/db"
    assert "without a controller" in workload_name(msgspec.structs.replace(WEB, controller=None))


def test_numbers_agree_with_their_nouns() -> None:
    assert (counted(1, "node"), counted(5, "node"), counted(20000, "pod")) == ("1 node", "5 nodes", "20,000 pods")


def test_every_group_has_a_row_with_the_reason_that_decided() -> None:
    rows = {row.group: (row.current, row.target, row.why) for row in group_rows(GROWING, "least-waste")}
    assert rows == {
        SPOT: (2, 7, "least-waste of 2 options"),
        "full": (2, 2, "at its maximum size"),
        "ml": (2, 2, "taint team=ml:NoSchedule is not tolerated"),
        "other": (2, 2, "could take them; least-waste chose another"),
        "tiny": (2, 2, "an empty node has not enough cpu and memory"),
    }
    assert group_rows(GROWING, "least-waste")[0].group == SPOT


def test_a_group_that_loses_nodes_says_why() -> None:
    plan = Plan(ScaleUpResult.NOT_NEEDED, removals=(Removal("n1", "a", "empty"), Removal("n2", "a", "empty")), groups=(status("a", 4),))
    assert [(row.current, row.target, row.why) for row in group_rows(plan, "random")] == [(4, 2, "2 empty nodes")]


def test_pods_that_no_group_helps_come_first_with_a_reason_per_group() -> None:
    assert pod_lines(GROWING) == [
        "1 pod of default/web: no node group can take them",
        "  ml: taint team=ml:NoSchedule is not tolerated",
        "  tiny: an empty node has not enough cpu and memory",
        "3 pods of default/web: the new nodes take them",
    ]


def test_pods_left_over_are_told_which_maximum_is_in_the_way() -> None:
    plan = msgspec.structs.replace(GROWING, pods=(pending("waiting"),))
    assert pod_lines(plan) == ["3 pods of default/web: left for the next scan: spot-4vcpu-16gb is then at its maximum of 7"]


def test_the_json_document_names_rule_object_and_upstreams_message_of_every_refusal() -> None:
    document = plan_json(GROWING)
    assert document["scale_up"] == [{"group": SPOT, "from": 2, "to": 7, "max": 7}]
    assert document["pods"][1]["reasons"][0] == {
        "group": "ml",
        "rule": "taint",
        "object": "team=ml:NoSchedule",
        "message": "node(s) had untolerated taint(s)",
    }
    assert document["skipped_groups"][0]["message"] == "max node group size reached"
    assert msgspec.json.decode(msgspec.json.encode(document))["options"][0]["chosen"] is True


BOUND = PodSet(WEB, (PodRef("web-9"), PodRef("web-10")))
NODE = Node(
    "n1",
    group=SPOT,
    taints=(Taint("team", "NoSchedule", "ml"),),
    allocatable=(("cpu", 4000), ("memory", 8 * 2**30)),
    conditions=(NodeCondition("Ready", "True"),),
    pods=(BOUND,),
)
SCENE = Scene(Cluster(nodes=(NODE,)), GROWING, now=350.0)


def test_a_pod_that_triggers_a_scale_up_names_the_group_that_grows_and_those_that_do_not() -> None:
    answer = explain_pod(SCENE, "default", "web-2")
    assert answer is not None
    assert answer.title == "pod default/web-2 · waiting for 4m10s · asks 1500m cpu, 3Gi memory"
    assert answer.reasons[0] == Reason(UP, "spot-4vcpu-16gb", "grows for it, 2->7 (max: 7)")
    assert answer.reasons[1] == Reason(NO, "full", "at its maximum size (max node group size reached)")


def test_a_pod_that_runs_names_its_node() -> None:
    answer = explain_pod(SCENE, "default", "web-9")
    assert answer is not None
    assert answer.reasons == (Reason(YES, "bound", "to node n1, group spot-4vcpu-16gb"),)
    assert explain_pod(SCENE, "other", "web-9") is None


def test_a_pod_that_does_not_count_says_so() -> None:
    scene = msgspec.structs.replace(SCENE, cluster=Cluster(pending=(PodSet(WEB, (PodRef("old"),)),)))
    answer = explain_pod(scene, "default", "old")
    assert answer is not None
    assert "does not count" in answer.reasons[0].text


def test_a_node_shows_its_load_its_taints_and_its_fate() -> None:
    answer = explain_node(SCENE, "n1")
    assert answer is not None
    assert answer.title == "node n1 · group spot-4vcpu-16gb · ready · 2 pods"
    assert [reason.text for reason in answer.reasons] == [
        "3 of 4 cpu (75%), 6Gi of 8Gi memory (75%)",
        "team=ml:NoSchedule",
        "the plan does not remove it",
    ]
    leaving = msgspec.structs.replace(GROWING, removals=(Removal("n1", SPOT, "underutilized", moves=("default/web-9",)),))
    answer = explain_node(msgspec.structs.replace(SCENE, plan=leaving), "n1")
    assert answer is not None
    assert answer.reasons[-1].text == "underutilized, 1 pod to move"
    assert explain_node(SCENE, "n2") is None


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("spot-4vcpu-16gb", "2->7 (max: 7)"),
        (SPOT, "2->7 (max: 7)"),
        ("other", "9 nodes would take 3 pods"),
        ("full", "at its maximum size (max node group size reached)"),
        ("ml", "taint team=ml:NoSchedule is not tolerated (node(s) had untolerated taint(s))"),
    ],
)
def test_a_group_shows_its_part_in_the_plan(name: str, last: str) -> None:
    answer = explain_group(SCENE, name)
    assert answer is not None
    assert answer.reasons[-1].text == last


def test_an_unknown_group_has_no_answer() -> None:
    assert explain_group(SCENE, "nobody") is None
