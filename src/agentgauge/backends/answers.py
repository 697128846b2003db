"""The HTTP API's JSON to values: what a Prometheus-compatible server answers. Pure.

Values are text there, times float seconds. Steps that a server leaves out are absent; a server that answers at times
of its own gets a grid of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgauge.errors import BackendError
from agentgauge.model.labels import Labels, labels_from_mapping
from agentgauge.model.sample import Exemplar, MetricInfo
from agentgauge.model.series import RaggedBlock, Result, ResultKind, StepMatrix, empty_steps

_NO_FLOATS = "native histograms in the answer are not supported; ask for a float, for example with histogram_count()"


def result_from_json(answer: Mapping[str, Any], url: str, steps: range | None = None) -> Result:
    """Turn the envelope of ``query`` or ``query_range`` into a result; ``steps`` are those a range query asked for.

    Raises:
        BackendError: the answer is not what the API promises.
    """
    try:
        result = _result(answer, url, steps)
        notes = [tuple(map(str, answer.get(name) or ())) for name in ("warnings", "infos")]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise BackendError(url, f"{url} answers in a form that cannot be read ({problem})") from None
    return replace(result, warnings=notes[0], infos=notes[1])


def infos_from_json(data: Mapping[str, Any]) -> dict[str, list[MetricInfo]]:
    """Turn the data of ``metadata`` into infos by metric family."""
    return {
        name: [MetricInfo(info.get("type", ""), info.get("help", ""), info.get("unit", "")) for info in infos]
        for name, infos in data.items()
    }


def exemplars_from_json(data: Sequence[Mapping[str, Any]]) -> list[Exemplar]:
    """Turn the data of ``query_exemplars`` into exemplars."""
    return [
        Exemplar(
            labels_from_mapping(item["seriesLabels"]),
            labels_from_mapping(exemplar["labels"]),
            _ms(exemplar["timestamp"]),
            float(exemplar["value"]),
        )
        for item in data
        for exemplar in item["exemplars"]
    ]


def _result(answer: Mapping[str, Any], url: str, steps: range | None) -> Result:
    data = answer["data"]
    kind: ResultKind = data["resultType"]
    found = data["result"] or []
    if any(isinstance(item, dict) and ("histogram" in item or "histograms" in item) for item in found):
        raise BackendError(url, f"{url}: {_NO_FLOATS}")
    if kind == "matrix" and steps is None:
        return Result("matrix", empty_steps(), samples=_ragged(found))
    if kind == "matrix":
        return Result("matrix", _grid(found, np.array(steps, np.int64)))
    if kind == "vector":
        return Result("vector", _vector(found))
    t_ms = np.array([_ms(found[0])], np.int64)
    if kind == "string":
        return Result("string", empty_steps(t_ms), text=str(found[1]))
    if kind != "scalar":
        raise ValueError(f"resultType {kind!r}")
    return Result("scalar", StepMatrix([()], t_ms, np.array([[float(found[1])]]), np.ones((1, 1), np.bool_)))


def _vector(found: Sequence[Mapping[str, Any]]) -> StepMatrix:
    """Lay out an instant vector in the server's order."""
    labels = [labels_from_mapping(item["metric"]) for item in found]
    times = sorted({_ms(item["value"][0]) for item in found})
    values = np.array([float(item["value"][1]) for item in found], np.float64).reshape(-1, 1)
    if len(times) <= 1:
        return StepMatrix(labels, np.array(times, np.int64), values[:, : len(times)], np.ones_like(values, np.bool_))
    # VictoriaMetrics may keep each sample's own time; an instant vector has one.
    return StepMatrix(labels, np.array(times[-1:], np.int64), values, np.ones_like(values, np.bool_))


def _grid(found: Sequence[Mapping[str, Any]], t_ms: NDArray[np.int64]) -> StepMatrix:
    series = sorted(
        ((labels_from_mapping(item["metric"]), *_columns(item["values"])) for item in found), key=lambda row: row[0]
    )
    own = [times for _, times, _ in series]
    if own and not np.isin(np.concatenate(own), t_ms).all():
        t_ms = np.unique(np.concatenate(own))
    values = np.zeros((len(series), len(t_ms)))
    present = np.zeros((len(series), len(t_ms)), np.bool_)
    for row, (_, times, column) in enumerate(series):
        at = np.searchsorted(t_ms, times)
        values[row, at] = column
        present[row, at] = True
    return StepMatrix([labels for labels, _, _ in series], t_ms, values, present)


def _ragged(found: Sequence[Mapping[str, Any]]) -> RaggedBlock:
    labels: list[Labels] = []
    offsets, times, values = [0], [np.empty(0, np.int64)], [np.empty(0)]
    for item in found:
        t_ms, column = _columns(item["values"])
        labels.append(labels_from_mapping(item["metric"]))
        times.append(t_ms)
        values.append(column)
        offsets.append(offsets[-1] + len(t_ms))
    return RaggedBlock(labels, np.array(offsets, np.int64), np.concatenate(times), np.concatenate(values))


def _columns(pairs: Sequence[Sequence[Any]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    times = np.rint(np.array([pair[0] for pair in pairs], np.float64) * 1000).astype(np.int64)
    return times, np.array([float(pair[1]) for pair in pairs], np.float64)


def _ms(seconds: float) -> int:
    return round(float(seconds) * 1000)
