"""Metrics: each node counts for itself, labels stay few, and what is rendered can be parsed."""

from __future__ import annotations

import contextlib

import pytest
from prometheus_client.parser import text_string_to_metric_families

from meshnode.telemetry.metrics import METHODS_MAX, Metrics


class Seconds:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def values(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """Samples called `name`: label values, ordered by their labels' names, to value."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        if sample.name == name
    }


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def metrics(seconds: Seconds) -> Metrics:
    return Metrics(node="n1", version="1.2.3", now_s=seconds)


def test_node_names_itself_and_its_version(metrics: Metrics) -> None:
    assert values(metrics, "meshnode_info") == {("n1", "1.2.3"): 1.0}


def test_two_nodes_of_one_process_count_apart(metrics: Metrics) -> None:
    other = Metrics(node="n2", version="1.2.3")
    metrics.count_vote("granted")
    assert values(metrics, "meshnode_votes_total") == {("granted",): 1.0}
    assert values(other, "meshnode_votes_total") == {}


def test_requests_are_counted_and_timed_by_method_and_status(metrics: Metrics) -> None:
    metrics.count_request(server="grpc", method="/a/B", status="OK", duration_s=0.004)
    metrics.count_request(server="grpc", method="/a/B", status="NOT_FOUND", duration_s=3.0)
    assert values(metrics, "meshnode_requests_total") == {("/a/B", "grpc", "OK"): 1, ("/a/B", "grpc", "NOT_FOUND"): 1}
    buckets = values(metrics, "meshnode_request_duration_seconds_bucket")
    assert buckets["0.005", "/a/B", "grpc"] == 1
    assert buckets["5.0", "/a/B", "grpc"] == 2
    assert values(metrics, "meshnode_request_duration_seconds_sum") == {("/a/B", "grpc"): pytest.approx(3.004)}


def test_made_up_methods_do_not_make_series_without_end(metrics: Metrics) -> None:
    for number in range(3 * METHODS_MAX):
        metrics.count_request(server="grpc", method=f"/made/up{number}", status="UNIMPLEMENTED", duration_s=0)
    counted = values(metrics, "meshnode_requests_total")
    assert len(counted) == METHODS_MAX + 1
    assert counted["other", "grpc", "UNIMPLEMENTED"] == 2 * METHODS_MAX


def test_what_is_in_flight_is_counted_back_also_after_an_error(metrics: Metrics) -> None:
    with contextlib.suppress(KeyError), metrics.request_in_flight("http"), metrics.pack_in_flight("upload-pack"):
        assert values(metrics, "meshnode_requests_in_flight") == {("http",): 1}
        assert values(metrics, "meshnode_packs_in_flight") == {("upload-pack",): 1}
        raise KeyError
    assert values(metrics, "meshnode_requests_in_flight") == {("http",): 0}
    assert values(metrics, "meshnode_packs_in_flight") == {("upload-pack",): 0}


def test_repair_phases_show_progress_and_time(metrics: Metrics, seconds: Seconds) -> None:
    with metrics.repair_phase("fetch"):
        seconds.now += 2.5
        assert values(metrics, "meshnode_repairs_in_progress") == {("fetch",): 1}
    metrics.count_repair("done")
    assert values(metrics, "meshnode_repairs_in_progress") == {("fetch",): 0}
    assert values(metrics, "meshnode_repair_phase_duration_seconds_sum") == {("fetch",): 2.5}
    assert values(metrics, "meshnode_repairs_total") == {("done",): 1}


def test_catalog_requests_are_timed_apart_for_good_and_bad(metrics: Metrics, seconds: Seconds) -> None:
    with metrics.catalog_request("get"):
        seconds.now += 0.5
    with contextlib.suppress(KeyError), metrics.catalog_request("get"):
        seconds.now += 2.0
        raise KeyError
    assert values(metrics, "meshnode_catalog_duration_seconds_sum") == {("get", "ok"): 0.5, ("get", "error"): 2.0}


def test_the_rest_is_counted_where_it_belongs(metrics: Metrics) -> None:
    metrics.count_bytes(server="http", received=10, sent=7)
    metrics.count_bytes(server="http", received=5)
    metrics.count_round(kind="update", outcome="published")
    metrics.time_round("prepare", 0.02)
    metrics.set_queue_length("packs", 3)
    metrics.count_refused("packs_per_node")
    metrics.set_replicas(consistent=4, inconsistent=1)
    metrics.set_settings_version(7)
    metrics.count_read_at_read_replica("answered")
    assert values(metrics, "meshnode_transport_bytes_total") == {("received", "http"): 15, ("sent", "http"): 7}
    assert values(metrics, "meshnode_rounds_total") == {("update", "published"): 1}
    assert values(metrics, "meshnode_round_duration_seconds_count") == {("prepare",): 1}
    assert values(metrics, "meshnode_queue_length") == {("packs",): 3}
    assert values(metrics, "meshnode_refused_total") == {("packs_per_node",): 1}
    assert values(metrics, "meshnode_settings_version") == {(): 7}
    assert values(metrics, "meshnode_read_replica_reads_total") == {("answered",): 1}
    assert values(metrics, "meshnode_replicas") == {("consistent",): 4, ("inconsistent",): 1}


def test_process_figures_are_there_too(metrics: Metrics) -> None:
    assert values(metrics, "process_resident_memory_bytes")[()] > 0
