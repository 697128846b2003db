"""Answers are the JSON that Prometheus writes, whichever way is quickest."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from agentgauge.model.series import Result, StepMatrix
from agentgauge.promql.numbers import format_float, format_timestamp
from agentgauge.server.json import result_data

VALUES = st.one_of(st.floats(), st.integers(-(2**60), 2**60).map(float), st.sampled_from([0.0, -0.0, 1.0, 1e21]))


@st.composite
def matrices(draw: st.DrawFn) -> StepMatrix:
    n_series, n_steps = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    values = draw(arrays.arrays(np.float64, (n_series, n_steps), elements=VALUES))
    if draw(st.booleans()):
        values[0] = values[0, 0]  # a row that never changes
    present = draw(arrays.arrays(np.bool_, (n_series, n_steps), elements=st.sampled_from([True, True, True, False])))
    t_ms = draw(st.integers(-(10**12), 10**13)) + np.arange(n_steps) * draw(st.sampled_from([1, 999, 1_000, 15_000]))
    return StepMatrix([(("i", str(i)),) for i in range(n_series)], t_ms.astype(np.int64), values, present)


@given(matrices())
def test_a_matrix_is_written_like_its_cells(steps: StepMatrix) -> None:
    """Rows that are whole, constant, fractional, infinite or have gaps: each pair as if it were written alone."""
    found = result_data(Result("matrix", steps), 0)
    rows = []
    for labels, values, present in zip(steps.labels, steps.values, steps.present, strict=True):
        pairs = [
            f'[{format_timestamp(int(t))},"{format_float(float(value))}"]'
            for t, value, here in zip(steps.t_ms, values, present, strict=True)
            if here
        ]
        if pairs:
            rows.append(f'{{"metric":{json.dumps(dict(labels), separators=(",", ":"))},"values":[{",".join(pairs)}]}}')
    assert found.decode() == f'{{"resultType":"matrix","result":[{",".join(rows)}]}}'
