"""FEATURES: Prometheus' names for what is experimental."""

from __future__ import annotations

import pytest

from agentgauge.database import Database
from agentgauge.errors import BadQuery, ConfigError
from agentgauge.promql.engine import Options
from agentgauge.promql.features import FEATURES, switched_on

NEEDS = {
    "promql-experimental-functions": "max_of(1, 2)",
    "promql-binop-fill-modifiers": "vector(1) + fill(0) vector(2)",
}


@pytest.mark.parametrize(("name", "query"), NEEDS.items())
def test_a_feature_opens_what_its_error_names(name: str, query: str) -> None:
    """Without the feature the error names it; with it the query is answered."""
    with Database.in_memory() as database, pytest.raises(BadQuery, match=f"--enable-feature={name}$"):
        database.query(query, 0)
    with Database.in_memory(options=Options(**switched_on([name]))) as database:
        assert database.query(query, 0).steps.values.size == 1


def test_each_feature_is_an_option() -> None:
    """Every name switches one field on, and no two the same."""
    for name, row in FEATURES.items():
        assert getattr(Options(**switched_on([name])), row.option) is True
    assert len({row.option for row in FEATURES.values()}) == len(FEATURES)


def test_what_is_no_feature_is_told_the_known_ones() -> None:
    """The message has the name that was given and all that there are."""
    with pytest.raises(ConfigError, match="'exemplars'") as raised:
        switched_on(["exemplars"])
    assert all(name in str(raised.value) for name in FEATURES)
