"""Promises of the public API: what there is, how it is called, and that it type-checks as users write it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import agentgauge
import agentgauge.testing

ROOT = Path(__file__).resolve().parent.parent

SIGNATURES = {
    "current_task": "()",
    "instrument": "(*clients)",
    "job": "(name, *, grouping=None, url=None)",
    "limit": "(inner, reason='')",
    "llm_call": "(model='', *, race=False, detached=False)",
    "metrics_app": "(registry=None)",
    "propagate": "(work, /)",
    "start": "(port=None, host=None, *, port_search=None, registry=None, slo=None, buckets=None, limits=None, "
    "series_limit=None, linger=None)",
    "task": "(agent='', agent_type='', *, slo_s=None, detached=False, trace_id='')",
    "tool_call": "(name='', *, race=False, detached=False)",
    "uninstrument": "()",
    "wait": "(reason, *, component='wait')",
    "wsgi_app": "(registry=None)",
}
"""Public function -> its parameters and defaults; a change here is a change of the API."""


@pytest.mark.parametrize("module", [agentgauge, agentgauge.testing])
def test_all_is_sorted_and_there(module: object) -> None:
    """``__all__`` is sorted and everything in it exists and is documented."""
    names: list[str] = module.__all__  # type: ignore[attr-defined]
    assert names == sorted(names)
    for name in names:
        assert name == "__version__" or getattr(module, name).__doc__


def test_signatures_are_as_recorded() -> None:
    """Public functions take what they took."""
    found = {}
    for name in agentgauge.__all__:
        thing = getattr(agentgauge, name)
        if inspect.isfunction(thing):
            signature = inspect.signature(thing)
            bare = [
                parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()
            ]
            found[name] = str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))
    assert found == SIGNATURES


def test_the_api_type_checks_as_users_write_it() -> None:
    """``mypy --strict`` accepts a user's program."""
    command = [sys.executable, "-m", "mypy", "--strict", str(ROOT / "tests" / "typing" / "api.py")]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert answer.returncode == 0, answer.stdout
