"""The Kubernetes client at its border: paging, refusals, events, writes."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from lambda_autoscaler.core.plan import Notice
from lambda_autoscaler.edge.kube import KubeClient
from lambda_autoscaler.edge.kube_http import Connection, KubeHttp, trusting
from lambda_autoscaler.ports import AutoscalerError, BadInput, Conflict, Denied, NotFound, Refused, Throttled, Unavailable, Unreachable
from tests.cluster.certificates import issue_certificates
from tests.edge.object_store import ObjectStore

NOW = 1_795_355_207.0
WAITING = Notice("Pod", "default", "nginx-1", "Normal", "TriggeredScaleUp", "pod triggered scale-up: [{spot 2->7 (max: 20)}]", "uid-1")


class Tokens:
    """Bearer tokens that can be renewed."""

    def __init__(self) -> None:
        self.number = 1

    def __call__(self, renew: bool) -> str:
        self.number += renew
        return f"token-{self.number}"


def client(server: HTTPServer) -> KubeClient:
    return KubeClient(KubeHttp(Connection(server=server.url_for(""), token=Tokens())))


def page(*names: str, token: str = "") -> dict[str, object]:
    return {"kind": "NodeList", "metadata": {"continue": token}, "items": [{"metadata": {"name": name}} for name in names]}


def names(pages: Iterator[bytes]) -> list[str]:
    return [item["metadata"]["name"] for data in pages for item in json.loads(data)["items"]]


def test_a_list_is_read_page_by_page(httpserver: HTTPServer) -> None:
    httpserver.expect_ordered_request("/api/v1/nodes", query_string={"limit": "200"}).respond_with_json(page("a", "b", token="t1"))
    httpserver.expect_ordered_request("/api/v1/nodes", query_string={"limit": "200", "continue": "t1"}).respond_with_json(page("c"))
    assert names(client(httpserver).list("nodes")) == ["a", "b", "c"]


def test_pods_that_ended_are_not_asked_for(httpserver: HTTPServer) -> None:
    query = {"limit": "200", "fieldSelector": "status.phase!=Succeeded,status.phase!=Failed"}
    httpserver.expect_request("/api/v1/pods", query_string=query).respond_with_json(page("a"))
    assert names(client(httpserver).list("pods")) == ["a"]


def test_one_node_and_its_pods_are_chosen_by_the_server(httpserver: HTTPServer) -> None:
    of_node = {"limit": "200", "fieldSelector": "metadata.name=n1"}
    of_pods = {"limit": "200", "fieldSelector": "status.phase!=Succeeded,status.phase!=Failed,spec.nodeName=n1"}
    httpserver.expect_request("/api/v1/nodes", query_string=of_node).respond_with_json(page("n1"))
    httpserver.expect_request("/api/v1/pods", query_string=of_pods).respond_with_json(page("a"))
    assert names(client(httpserver).list("nodes", "n1")) == ["n1"]
    assert names(client(httpserver).list("pods", "n1")) == ["a"]


def test_an_expired_list_goes_on_where_it_was_without_repeating_objects(httpserver: HTTPServer) -> None:
    httpserver.expect_ordered_request("/api/v1/nodes").respond_with_json(page("a", token="old"))
    gone = {"message": "The provided continue parameter is too old", "metadata": {"continue": "fresh"}}
    httpserver.expect_ordered_request("/api/v1/nodes", query_string={"limit": "200", "continue": "old"}).respond_with_json(gone, status=410)
    httpserver.expect_ordered_request("/api/v1/nodes", query_string={"limit": "200", "continue": "fresh"}).respond_with_json(page("b"))
    assert names(client(httpserver).list("nodes")) == ["a", "b"]


def test_an_expired_list_that_cannot_go_on_is_refused(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/v1/nodes").respond_with_json({"message": "too old"}, status=410)
    with pytest.raises(Refused, match="next scan"):
        names(client(httpserver).list("nodes"))


def test_a_kind_that_is_not_read_is_bad_input(httpserver: HTTPServer) -> None:
    with pytest.raises(BadInput, match="secrets"):
        list(client(httpserver).list("secrets"))


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, Denied, "access entry"),
        (403, Denied, 'cannot list resource "nodes".*ClusterRole'),
        (404, NotFound, "nodes"),
        (409, Conflict, "nodes"),
        (422, Refused, "HTTP 422"),
        (500, Unavailable, "HTTP 500"),
        (502, Unavailable, "HTTP 502"),
        (503, Unavailable, "HTTP 503"),
        (504, Unavailable, "HTTP 504"),
    ],
)
def test_each_refusal_is_named(httpserver: HTTPServer, status: int, error: type[AutoscalerError], words: str) -> None:
    message = 'nodes is forbidden: User "u" cannot list resource "nodes" in API group "" at the cluster scope'
    httpserver.expect_request("/api/v1/nodes").respond_with_json({"kind": "Status", "message": message}, status=status)
    with pytest.raises(error, match=words):
        list(client(httpserver).list("nodes"))


def test_a_refusal_that_is_not_json_is_told_as_it_is(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/v1/nodes").respond_with_data("upstream connect error", status=502)
    with pytest.raises(Refused, match="upstream connect error"):
        list(client(httpserver).list("nodes"))


def test_a_throttled_request_says_when_to_come_back(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/v1/nodes").respond_with_json({"message": "too many"}, status=429, headers={"Retry-After": "7"})
    with pytest.raises(Throttled) as caught:
        list(client(httpserver).list("nodes"))
    assert caught.value.retry_after == 7.0


def test_an_expired_token_is_renewed_once(httpserver: HTTPServer) -> None:
    httpserver.expect_ordered_request("/api/v1/nodes", headers={"Authorization": "Bearer token-1"}).respond_with_json({}, status=401)
    httpserver.expect_ordered_request("/api/v1/nodes", headers={"Authorization": "Bearer token-2"}).respond_with_json(page("a"))
    assert names(client(httpserver).list("nodes")) == ["a"]


def test_an_endpoint_that_does_not_answer_is_named() -> None:
    nobody = KubeClient(KubeHttp(Connection(server="http://127.0.0.1:9", token=lambda _renew: "")))
    with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:9 does not answer"):
        list(nobody.list("nodes"))


@pytest.mark.parametrize(("took", "asked"), [(5.0, 1), (0.2, 3)])
def test_a_server_that_was_waited_for_in_vain_is_left_alone_for_a_while(took: float, asked: int) -> None:
    now = [1000.0]
    tokens: list[float] = []

    def token(_renew: bool) -> str:
        tokens.append(now[0])
        now[0] += took  # the clock of the request that follows
        return ""

    http = KubeHttp(Connection("http://127.0.0.1:9", token), silence_seconds=20.0, clock=lambda: now[0])
    for _ in range(3):
        with pytest.raises(Unreachable):
            http.request("GET", "/api/v1/nodes")
    assert len(tokens) == asked
    now[0] += 20.0
    with pytest.raises(Unreachable, match="does not answer"):
        http.request("GET", "/api/v1/nodes")


def test_a_server_of_another_authority_is_not_trusted(tmp_path: Path) -> None:
    ours, other = tmp_path / "ours", tmp_path / "other"
    ours.mkdir()
    other.mkdir()
    files, strangers = issue_certificates(ours), issue_certificates(other)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files.server, files.server_key)
    with HTTPServer(host="127.0.0.1", ssl_context=tls) as server:
        server.expect_request("/api/v1/nodes").respond_with_json(page("a"))
        for authority, expected in ((files.ca, ["a"]), (strangers.ca, None)):
            kube = KubeClient(KubeHttp(Connection(server.url_for(""), lambda _renew: "t", trusting(authority.read_bytes()))))
            if expected is None:
                with pytest.raises(Unreachable, match="certificate is not trusted"):
                    names(kube.list("nodes"))
            else:
                assert names(kube.list("nodes")) == expected


def test_a_config_map_is_created_where_there_is_none_and_replaced_after() -> None:
    path = "/api/v1/namespaces/kube-system/configmaps"
    with ObjectStore() as store:
        kube = KubeClient(store.http())
        assert kube.config_map("kube-system", "status") is None
        manifest = {"metadata": {"name": "status", "namespace": "kube-system"}, "data": {"a": "1"}}
        kube.write_config_map("kube-system", "status", json.dumps(manifest).encode())
        kube.write_config_map("kube-system", "status", json.dumps({**manifest, "data": {"a": "2"}}).encode())
        assert store.objects[f"{path}/status"]["data"] == {"a": "2"}
        stale = {"metadata": {**manifest["metadata"], "resourceVersion": "1"}, "data": {"a": "3"}}
        with pytest.raises(Conflict):
            kube.write_config_map("kube-system", "status", json.dumps(stale).encode())


def test_an_eviction_names_the_very_pod(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/v1/namespaces/default/pods/web-1/eviction", method="POST").respond_with_json({})
    client(httpserver).evict("default", "web-1", "uid-7", 30)
    sent = json.loads(httpserver.log[0][0].data)
    assert sent["deleteOptions"] == {"gracePeriodSeconds": 30, "preconditions": {"uid": "uid-7"}}


def test_an_eviction_that_two_budgets_forbid_is_a_refusal_of_that_pod(httpserver: HTTPServer) -> None:
    message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
    path = "/api/v1/namespaces/default/pods/web-1/eviction"
    httpserver.expect_request(path, method="POST").respond_with_json({"kind": "Status", "message": message}, status=500)
    with pytest.raises(Refused, match="more than one PodDisruptionBudget"):
        client(httpserver).evict("default", "web-1", "uid-7", 30)


def test_an_event_says_what_happened_to_which_object() -> None:
    with ObjectStore() as store:
        KubeClient(store.http()).record([WAITING], NOW)
        (event,) = store.objects.values()
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": "nginx-1", "uid": "uid-1"}
    assert (event["type"], event["reason"], event["count"]) == ("Normal", "TriggeredScaleUp", 1)
    assert event["source"] == {"component": "cluster-autoscaler"}
    assert event["message"] == WAITING.message


def test_a_repeated_event_of_a_new_container_is_counted_up() -> None:
    with ObjectStore() as store:
        for number in range(3):
            KubeClient(store.http()).record([WAITING], NOW + 60 * number)
        (event,) = store.objects.values()
    assert event["count"] == 3
    assert event["firstTimestamp"] < event["lastTimestamp"]


def test_a_warm_container_writes_a_repeated_event_once_in_five_minutes() -> None:
    with ObjectStore() as store:
        kube = KubeClient(store.http())
        for minute in range(6):
            kube.record([WAITING], NOW + 60 * minute)
        (event,) = store.objects.values()
        assert len(store.writes()) == 2
    assert event["count"] == 6


def test_every_repeat_is_written_when_asked_for() -> None:
    with ObjectStore() as store:
        kube = KubeClient(store.http(), record_duplicates=True)
        for minute in range(3):
            kube.record([WAITING], NOW + 60 * minute)
        assert len(store.writes()) == 3


def test_events_of_nodes_live_in_the_default_namespace() -> None:
    with ObjectStore() as store:
        KubeClient(store.http()).record([Notice("Node", "", "ip-10-0-0-1", "Normal", "ScaleDown", "m")], NOW)
        (path,) = store.objects
    assert path.startswith("/api/v1/namespaces/default/events/ip-10-0-0-1.")
