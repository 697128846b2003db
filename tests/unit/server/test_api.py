"""The HTTP API over a fake backend: parameters, envelopes, codes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from agentgauge.errors import BackendError, BadQuery, ExecutionError, QueryError, QueryTimeout
from agentgauge.model.labels import Labels
from agentgauge.model.sample import Exemplar, MetricInfo
from agentgauge.model.series import QueryStats, Result, StepMatrix, empty_steps
from agentgauge.server.api import api_routes, label_name_from_path
from agentgauge.server.status import Status
from agentgauge.testing import FakeClock

A: Labels = (("__name__", "m"), ("a", "1"))
B: Labels = (("__name__", "m"), ("a", "2"))


class FakeBackend:
    """Answers what it is given and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.result = Result("vector", empty_steps())
        self.error: QueryError | BackendError | None = None

    async def query(self, expr: str, t_ms: int | None = None, **options: Any) -> Result:
        self.asked.append(("query", expr, t_ms, options))
        if self.error:
            raise self.error
        return self.result

    async def query_range(self, expr: str, start_ms: int, end_ms: int, step_ms: int, **options: Any) -> Result:
        self.asked.append(("query_range", expr, start_ms, end_ms, step_ms, options))
        if self.error:
            raise self.error
        return self.result

    async def series(self, selectors: Sequence[str], *window: Any) -> list[Labels]:
        self.asked.append(("series", tuple(selectors), *window))
        return [A, B]

    async def label_names(self, selectors: Sequence[str] = (), *window: Any) -> list[str]:
        self.asked.append(("label_names", tuple(selectors), *window))
        return ["__name__", "a"]

    async def label_values(self, name: str, selectors: Sequence[str] = (), *window: Any) -> list[str]:
        self.asked.append(("label_values", name, tuple(selectors), *window))
        return ["1", "2"]

    async def metadata(self, metric: str | None = None) -> Mapping[str, Sequence[MetricInfo]]:
        self.asked.append(("metadata", metric))
        return {"m": [MetricInfo("counter", "Help."), MetricInfo("gauge", "")], "n": [MetricInfo("gauge", "")]}

    async def exemplars(self, expr: str, start_ms: int, end_ms: int) -> list[Exemplar]:
        self.asked.append(("exemplars", expr, start_ms, end_ms))
        return [Exemplar(A, (("trace_id", "t2"),), 2000, 0.5), Exemplar(A, (("trace_id", "t1"),), 1000, 1.0)]

    async def close(self) -> None:
        return None


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def client(backend: FakeBackend) -> TestClient:
    status = Status(start_ms=1000, flags={"listen": "x"}, config="a: 1\n", retention="15d")
    routes = api_routes(
        backend,
        lambda: {"activeTargets": [1], "droppedTargets": [2]},
        clock=FakeClock(5_000),
        status=status,
        is_ready=lambda: False,
    )
    return TestClient(Starlette(routes=routes))


def matrix(values: list[list[float]], present: list[list[bool]] | None = None) -> Result:
    table = np.array(values)
    mask = np.ones(table.shape, np.bool_) if present is None else np.array(present)
    t_ms = np.arange(table.shape[1], dtype=np.int64) * 500
    return Result("matrix", StepMatrix([A, B][: len(values)], t_ms, table, mask))


def test_vector_carries_the_evaluation_time(client: TestClient, backend: FakeBackend) -> None:
    """Elements carry the time that was asked, values are strings; an absent element does not appear."""
    steps = StepMatrix([A, B], np.array([0], np.int64), np.array([[1.5], [2.0]]), np.array([[True], [False]]))
    backend.result = Result("vector", steps)
    answer = client.get("/api/v1/query", params={"query": "m", "time": "1.5"}).json()
    assert answer == {
        "status": "success",
        "data": {"resultType": "vector", "result": [{"metric": {"__name__": "m", "a": "1"}, "value": [1.5, "1.5"]}]},
    }
    assert backend.asked == [("query", "m", 1500, {"timeout_s": None, "lookback_ms": None})]


def test_empty_result_is_a_list_and_time_defaults_to_now(client: TestClient, backend: FakeBackend) -> None:
    """Nothing is [], not null; without time the clock is asked."""
    assert client.get("/api/v1/query", params={"query": "m"}).json()["data"]["result"] == []
    assert backend.asked[0][2] == 5000


def test_wide_matrix_writes_values_as_prometheus_does(client: TestClient, backend: FakeBackend) -> None:
    """Whole floats lose their point, times have none or three decimals, exponents and specials are Prometheus'."""
    backend.result = matrix([[1.0, 2.5, 100.0], [1e-7, float("nan"), float("-inf")]])
    params = {"query": "m", "start": "0", "end": "1", "step": "500ms"}
    text = client.get("/api/v1/query_range", params=params).text
    assert '"values":[[0,"1"],[0.500,"2.5"],[1,"100"]]' in text
    assert '"values":[[0,"1e-07"],[0.500,"NaN"],[1,"-Inf"]]' in text
    json.loads(text)


def test_steps_without_a_sample_are_left_out(client: TestClient, backend: FakeBackend) -> None:
    """A series shows its present steps only, and not at all when it has none."""
    backend.result = matrix([[1.0, 2.0], [3.0, 4.0]], [[False, True], [False, False]])
    params = {"query": "m", "start": "0", "end": "1", "step": "1"}
    result = client.get("/api/v1/query_range", params=params).json()["data"]["result"]
    assert result == [{"metric": {"__name__": "m", "a": "1"}, "values": [[0.5, "2"]]}]


def test_scalar_and_string(client: TestClient, backend: FakeBackend) -> None:
    """Scalars and strings are a pair."""
    steps = StepMatrix([()], np.array([0], np.int64), np.array([[2.0]]), np.array([[True]]))
    backend.result = Result("scalar", steps)
    assert client.get("/api/v1/query", params={"query": "2", "time": "0"}).json()["data"]["result"] == [0, "2"]
    backend.result = Result("string", empty_steps(), text="a\udcff")
    assert client.get("/api/v1/query", params={"query": '"a"', "time": "0"}).json()["data"]["result"] == [0, "a\ufffd"]


def test_form_body_and_url_both_count_body_first(client: TestClient, backend: FakeBackend) -> None:
    """POST takes a form; what it leaves out may stand in the URL."""
    client.post("/api/v1/query?time=7&query=url", data={"query": "body", "timeout": "1m30s", "lookback_delta": "30"})
    assert backend.asked == [("query", "body", 7000, {"timeout_s": 90.0, "lookback_ms": 30_000})]


def test_bytes_that_are_not_utf8_reach_the_parser(client: TestClient, backend: FakeBackend) -> None:
    """Invalid UTF-8 arrives as surrogate escapes, not as replacement characters."""
    client.get("/api/v1/query?query=%ff")
    assert backend.asked[0][1] == "\udcff"


@pytest.mark.parametrize(
    ("error", "code", "kind", "text"),
    [
        (BadQuery("1:5: parse error: x"), 400, "bad_data", 'invalid parameter "query": 1:5: parse error: x'),
        (ExecutionError("x"), 422, "execution", "x"),
        (QueryTimeout("x"), 503, "timeout", "x"),
        (BackendError("http://x", "gone"), 502, "internal", "gone"),
    ],
)
def test_errors_have_their_code(
    client: TestClient, backend: FakeBackend, error: QueryError | BackendError, code: int, kind: str, text: str
) -> None:
    """Each class of error has its HTTP code and its word in the envelope."""
    backend.error = error
    answer = client.get("/api/v1/query", params={"query": "m"})
    assert answer.status_code == code
    assert answer.json() == {"status": "error", "errorType": kind, "error": text}


RANGE = {"query": "m", "start": "0", "end": "10", "step": "1"}


@pytest.mark.parametrize(
    ("path", "params", "text"),
    [
        ("query", {"time": "x"}, 'invalid parameter "time": cannot parse "x" to a valid timestamp'),
        ("query", {"time": "1", "limit": "-1"}, 'invalid parameter "limit": limit must be non-negative'),
        ("query", {"limit": "x"}, 'invalid parameter "limit": strconv.Atoi: parsing "x": invalid syntax'),
        ("query", {"timeout": "5q"}, 'invalid parameter "timeout": cannot parse "5q" to a valid duration'),
        ("query_range", RANGE | {"end": "-1"}, 'invalid parameter "end": end timestamp must not be before start time'),
        (
            "query_range",
            RANGE | {"step": "0"},
            'invalid parameter "step": zero or negative query resolution step widths are not accepted.'
            " Try a positive integer",
        ),
        (
            "query_range",
            RANGE | {"end": "11001"},
            "exceeded maximum resolution of 11,000 points per timeseries."
            " Try decreasing the query resolution (?step=XX)",
        ),
        ("query_range", {"query": "m"}, 'invalid parameter "start": cannot parse "" to a valid timestamp'),
        ("series", {}, "no match[] parameter provided"),
        ("series", {"match[]": "{}"}, "match[] must contain at least one non-empty matcher"),
        ("series", {"match[]": "m{"}, None),
        ("labels", {"match[]": "rate(m[5m])"}, None),
        ("format_query", {"query": "m +"}, 'invalid parameter "query": 1:4: parse error: unexpected end of input'),
        ("label/U__/values", {}, 'invalid label name: "U__"'),
    ],
)
def test_bad_parameters(client: TestClient, path: str, params: dict[str, str], text: str | None) -> None:
    """Each bad parameter is a 400 with Prometheus' words."""
    answer = client.get(f"/api/v1/{path}", params=params)
    assert answer.status_code == 400
    assert answer.json()["errorType"] == "bad_data"
    assert text is None or answer.json()["error"] == text


def test_eleven_thousand_steps_are_allowed(client: TestClient) -> None:
    """The limit counts steps, not points."""
    assert client.get("/api/v1/query_range", params=RANGE | {"end": "11000"}).status_code == 200


@pytest.mark.parametrize(
    ("text", "t_ms"),
    [("1700000000.1234", 1_700_000_000_123), ("2023-11-14T22:13:20Z", 1_700_000_000_000),
     ("2023-11-14T23:13:20.5+01:00", 1_700_000_000_500), ("-1", -1000), ("1e3", 1_000_000)],
)  # fmt: skip
def test_forms_of_time(client: TestClient, backend: FakeBackend, text: str, t_ms: int) -> None:
    """Float seconds are rounded to ms; RFC 3339 with any zone."""
    client.get("/api/v1/query", params={"query": "m", "time": text})
    assert backend.asked[0][2] == t_ms


def test_limit_cuts_and_warns(client: TestClient, backend: FakeBackend) -> None:
    """A limit cuts series and says so; one more than the limit is asked for."""
    backend.result = matrix([[1.0], [2.0]])
    answer = client.get("/api/v1/query_range", params=RANGE | {"limit": "1"}).json()
    assert len(answer["data"]["result"]) == 1
    assert answer["warnings"] == ["results truncated due to limit"]
    answer = client.get("/api/v1/series", params={"match[]": "m", "limit": "1"}).json()
    assert answer == {"status": "success", "data": [dict(A)], "warnings": ["results truncated due to limit"]}
    assert backend.asked[-1][-1] == 2


def test_annotations_and_stats(client: TestClient, backend: FakeBackend) -> None:
    """Warnings and infos stand beside the data; stats only when asked for."""
    backend.result = Result(
        "vector", empty_steps(), warnings=("w",), infos=("i",), stats=QueryStats(samples_read=3, samples_peak=2)
    )
    answer = client.get("/api/v1/query", params={"query": "m", "stats": "all"}).json()
    assert (answer["warnings"], answer["infos"]) == (["w"], ["i"])
    assert answer["data"]["stats"]["samples"] == {"totalQueryableSamples": 3, "peakSamples": 2}


def test_exemplars_by_series_in_order_of_time(client: TestClient) -> None:
    """Exemplars are grouped by series, earliest first, values as strings."""
    data = client.post("/api/v1/query_exemplars", data={"query": "m", "start": "0", "end": "9"}).json()["data"]
    assert data == [
        {
            "seriesLabels": dict(A),
            "exemplars": [
                {"labels": {"trace_id": "t1"}, "value": "1", "timestamp": 1.0},
                {"labels": {"trace_id": "t2"}, "value": "0.5", "timestamp": 2.0},
            ],
        }
    ]


def test_metadata_limits(client: TestClient) -> None:
    """Families and the infos of each can be limited."""
    data = client.get("/api/v1/metadata", params={"limit": "1", "limit_per_metric": "1"}).json()["data"]
    assert data == {"m": [{"type": "counter", "help": "Help.", "unit": ""}]}


def test_label_values_of_an_escaped_name(client: TestClient, backend: FakeBackend) -> None:
    """U__ names are decoded."""
    assert client.get("/api/v1/label/U__a_2e_b__c/values").json()["data"] == ["1", "2"]
    assert backend.asked[0][1] == "a.b_c"
    assert label_name_from_path("plain") == "plain"


def test_format_query_is_canonical(client: TestClient) -> None:
    """format_query prints Prometheus' canonical text and keeps what is only known at evaluation."""
    query = "sum  by(a)(rate( m{b='1'}[5m] offset 1h))+start()"
    answer = client.get("/api/v1/format_query", params={"query": query}).json()["data"]
    assert answer == 'sum by (a) (rate(m{b="1"}[5m] offset 1h)) + start()'


def test_rules_status_and_health(client: TestClient) -> None:
    """What there is nothing to say about is empty, never 404; ready says 503 while starting."""
    assert client.get("/api/v1/rules").json()["data"] == {"groups": []}
    assert client.get("/api/v1/alerts").json()["data"] == {"alerts": []}
    assert "features" not in client.get("/api/v1/status/buildinfo").json()["data"]
    assert client.get("/api/v1/status/runtimeinfo").json()["data"]["storageRetention"] == "15d"
    assert client.get("/api/v1/status/flags").json()["data"] == {"listen": "x"}
    assert client.get("/api/v1/status/config").json()["data"] == {"yaml": "a: 1\n"}
    tsdb = client.get("/api/v1/status/tsdb").json()["data"]
    assert tsdb["headStats"]["numSeries"] == 2
    assert tsdb["seriesCountByMetricName"] == [{"name": "m", "value": 2}]
    assert client.get("/api/v1/targets", params={"state": "active"}).json()["data"]["droppedTargets"] == []
    assert client.get("/-/healthy").status_code == 200
    assert client.get("/-/ready").status_code == 503


def test_large_answers_are_compressed_only_when_asked(client: TestClient, backend: FakeBackend) -> None:
    """gzip goes by Accept-Encoding, and small answers stay plain."""
    backend.result = matrix([[float(i) for i in range(500)]])
    plain = client.get("/api/v1/query_range", params=RANGE, headers={"accept-encoding": "identity"})
    packed = client.get("/api/v1/query_range", params=RANGE, headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == plain.json()
    assert "content-encoding" not in client.get("/api/v1/alerts").headers


def test_body_too_large_is_refused(client: TestClient) -> None:
    """A form has a size limit."""
    answer = client.post("/api/v1/query", data={"query": "x" * 5_000_000})
    assert answer.status_code == 400
