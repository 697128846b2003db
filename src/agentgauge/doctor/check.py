"""CHECKS: every question the doctor asks, in the order in which the answers are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agentgauge.doctor import chain, data, host, llm_servers
from agentgauge.doctor.facts import Facts
from agentgauge.doctor.finding import Finding, Judgement, unknown


@dataclass(frozen=True, slots=True)
class Check:
    """One row: ``judge`` looks at facts alone and never waits."""

    id: str
    group: str
    title: str
    judge: Callable[[Facts], Judgement]


_ROWS = (
    Check("python", "machine", "Python", host.python),
    Check("binary", "machine", "agentgauge in use", host.binary),
    Check("environment", "machine", "Environment", host.environment),
    Check("packages", "machine", "Package versions", host.packages),
    Check("disk", "machine", "Disk", host.disk),
    Check("discovery", "machine", "Discovery files", host.discovery),
    Check("port", "machine", "Metrics port", host.port),
    Check("server", "chain", "Server", chain.server),
    Check("targets", "chain", "Targets", chain.targets),
    Check("answers", "chain", "Answers of targets", chain.answers),
    Check("twice", "chain", "Scraped twice", chain.twice),
    Check("clock", "chain", "Clocks", chain.clock),
    Check("scraping", "chain", "Scraping", chain.stalled),
    Check("gaps", "chain", "Scrape gaps", chain.gaps),
    Check("dropped", "chain", "Dropped samples", chain.dropped),
    Check("queries", "chain", "Query time", chain.queries),
    Check("versions", "recording", "Versions of agents", data.versions),
    Check("series", "recording", "Series", data.series),
    Check("cardinality", "recording", "Label values", data.cardinality),
    Check("folded", "recording", "Folded labels", data.folded),
    Check("buckets", "recording", "Buckets", data.buckets),
    Check("resets", "recording", "Counter resets", data.resets),
    Check("duplicates", "recording", "Counted twice", data.duplicates),
    Check("tokens", "recording", "Tokens", data.tokens),
    Check("errors", "recording", "Failures of ours", data.errors),
    Check("accounting", "recording", "Time accounting", data.accounting),
    Check("overhead", "recording", "Overhead in agents", data.overhead),
    Check("server_load", "recording", "Load of the server", data.server_load),
    Check("ollama", "model servers", "Ollama", llm_servers.ollama),
    Check("ollama_version", "model servers", "Ollama version", llm_servers.ollama_version),
    Check("models", "model servers", "Models", llm_servers.models),
    Check("reloads", "model servers", "Model reloads", llm_servers.reloads),
    Check("truncation", "model servers", "Cut contexts", llm_servers.truncation),
)

CHECKS: dict[str, Check] = {row.id: row for row in _ROWS}
"""Check id -> its row."""


def examine(facts: Facts) -> list[Finding]:
    """Judge by every check; one that fails says so in its own row and costs no other."""
    return [_finding(check, facts) for check in CHECKS.values()]


def is_healthy(findings: Iterable[Finding]) -> bool:
    """Tell whether nothing is bad; warnings do not make a system unhealthy."""
    return all(finding.verdict != "bad" for finding in findings)


def findings_json(findings: Iterable[Finding]) -> dict[str, object]:
    """Return what ``--json`` and ``/api/doctor`` say."""
    rows = list(findings)
    return {
        "healthy": is_healthy(rows),
        "counts": {word: sum(row.verdict == word for row in rows) for word in ("ok", "warn", "bad", "unknown")},
        "findings": [
            {
                "check": row.check,
                "title": row.title,
                "group": row.group,
                "verdict": row.verdict,
                "looked_at": row.looked_at,
                "detail": row.detail,
                "mend": row.mend,
            }
            for row in rows
        ],
    }


def _finding(check: Check, facts: Facts) -> Finding:
    try:
        found = check.judge(facts)
    except Exception as error:  # noqa: BLE001 -- a check that trips over facts nobody thought of must not hide the others
        found = unknown(check.title, f"the check itself failed: {type(error).__name__}: {error}")
    return Finding(check.id, check.title, check.group, found.verdict, found.looked_at, found.detail, found.mend)
