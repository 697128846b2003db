"""Checks of what is recorded: versions, series, labels, buckets, counters, tokens, and our own cost. Pure."""

from __future__ import annotations

import math
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agentgauge.doctor.facts import Facts, FoldedAt, Rows
from agentgauge.doctor.finding import Judgement, bad, counted, listed, ok, times, unknown, warn
from agentgauge.doctor.versions import TESTED, compare

SERIES_SHARE = 0.8
OVERFLOW_SHARE = 0.05
MIN_OBSERVATIONS = 20
COARSE_FACTOR = 4.0
"""A p95 in a bucket whose upper bound is over so many times its lower one is a guess, not a figure."""

PATH_NAME = "name"
"""The label of the critical path that repeats the names of agents, models and tools."""

MANY_RESETS = 3
OVERHEAD_BUDGET = 0.02
"""CPU seconds a second that recording and exposing may take of a process: a fiftieth of one core."""

SERVER_CPU_BUDGET = 0.5
ACCOUNTING_S = 0.001


def versions(facts: Facts) -> Judgement:
    """Do the agents run tested versions, and the same agentgauge as we?"""
    looked_at = "agentgauge_build_info and agentgauge_library_info of all targets"
    libraries = facts.values.get("libraries")
    builds = facts.values.get("build")
    if not libraries and not builds:
        return unknown(looked_at, "no agent tells its versions")
    wrong = []
    for labels, _ in libraries or ():
        name, version = labels.get("library", ""), labels.get("version", "")
        verdict = compare(version, TESTED[name]) if name in TESTED else ""
        if verdict:
            word = "older" if verdict == "old" else "newer"
            wrong.append((verdict, name, f"{labels.get('instance', '?')} uses {name} {version}, {word} than tested"))
    if wrong:
        names = sorted({name for _, name, _ in wrong})
        mend = " ".join(f"'{TESTED[name].pip}>={TESTED[name].low},<{TESTED[name].below}'" for name in names)
        judge = bad if any(verdict == "old" for verdict, _, _ in wrong) else warn
        return judge(looked_at, listed(text for _, _, text in wrong), f"pip install {mend}   # where the agent runs")
    other = sorted({labels.get("version", "") for labels, _ in builds or ()} - {facts.host.package_version})
    if other:
        return warn(
            looked_at,
            f"agents record with agentgauge {listed(other)}, this is {facts.host.package_version}",
            f"pip install agentgauge=={facts.host.package_version}   # where the agent runs",
        )
    shown = sorted({f"{labels.get('library')} {labels.get('version')}" for labels, _ in libraries or ()})
    return ok(looked_at, f"agentgauge {facts.host.package_version}" + (f", {', '.join(shown)}" if shown else ""))


def series(facts: Facts) -> Judgement:
    """How near are processes to their limit of series?"""
    looked_at = "agentgauge_series against agentgauge_series_limit"
    held = {labels.get("instance", "?"): value for labels, value in facts.values.get("series", ())}
    limits = {labels.get("instance", "?"): value for labels, value in facts.values.get("series_limit", ())}
    shares = {name: held[name] / limits[name] for name in held if limits.get(name)}
    if not shares:
        return unknown(looked_at, "no agent tells")
    name = max(shares, key=lambda one: shares[one])
    said = f"{name} holds {held[name]:,.0f} of {limits[name]:,.0f} series"
    mend = f"agentgauge query 'topk(10, count by (__name__) ({{instance=\"{name}\"}}))'"
    if shares[name] >= 1:
        return bad(looked_at, f"{said}: new label sets go to __other__", mend)
    return warn(looked_at, said, mend) if shares[name] > SERIES_SHARE else ok(looked_at, said)


def cardinality(facts: Facts) -> Judgement:
    """Has any label of any metric values without end?"""
    looked_at = "series per metric and instance"
    if facts.values.get("widest") is None:
        return unknown(looked_at, "not answered")
    if facts.wide:
        worst = facts.wide[0]
        return warn(
            looked_at,
            "label values explode: "
            + listed(
                f"{one.metric} on {one.instance} has {one.n_values:,} values of {one.label}" for one in facts.wide
            ),
            f"take the label {worst.label!r} out of {worst.metric}: ids belong in spans, exemplars and logs",
        )
    return ok(looked_at, "no label with more than 250 values on one instance")


def folded(facts: Facts) -> Judgement:
    """Were label values folded into __other__, and which line of code made them?"""
    looked_at = "agentgauge_labels_folded_total, last hour; /debug/folded of those that fold"
    rows = facts.values.get("folded")
    if rows is None:
        return unknown(looked_at, "not answered")
    folds = folds_of(rows, facts.folded_at)
    if not folds:
        return ok(looked_at, "no label value was folded")
    look = next(filter(None, (_look_at(place) for fold in folds for place in fold.places)), "")
    label = folds[0].label
    return warn(
        looked_at,
        f"folded into __other__: {listed(map(_fold_text, folds))}; sums stay right, names are lost",
        f"{look or _search(label)}   # give {label} names from a fixed set, never ids",
    )


@dataclass(frozen=True, slots=True)
class Fold:
    """A label whose values were folded: how often in each metric, most first, and the lines of code that made them."""

    label: str
    times_by_metric: Mapping[str, float]
    places: Sequence[str]


def folds_of(rows: Rows, folded_at: Iterable[FoldedAt]) -> list[Fold]:
    """Add up the folds of all instances by label, most folded first; ``name``, mostly an echo of the others, last."""
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    places: dict[str, dict[str, None]] = defaultdict(dict)
    for labels, value in rows:
        sums[labels.get("label", "")][labels.get("metric", "")] += value
    for one in folded_at:
        places[one.label].update(dict.fromkeys(one.places))
    folds = [
        Fold(label, dict(sorted(metrics.items(), key=lambda pair: (-pair[1], pair[0]))), list(places[label]))
        for label, metrics in sums.items()
    ]
    return sorted(folds, key=lambda fold: (fold.label == PATH_NAME, -max(fold.times_by_metric.values())))


def _fold_text(fold: Fold) -> str:
    metric, n_times = next(iter(fold.times_by_metric.items()))
    more = len(fold.times_by_metric) - 1
    others = f" and {counted(more, 'other metric')}" if more else ""
    made = f", made at {listed(fold.places, 2)}" if fold.places else ""
    return f"{fold.label} of {metric}{others}, {times(n_times)}{made}"


def _look_at(place: str) -> str:
    """Return the command that shows a line of code, empty where the place is none."""
    path, _, line = place.partition(" in ")[0].rpartition(":")
    return f"sed -n {line}p {shlex.quote(path)}" if path and line.isdigit() else ""


def _search(label: str) -> str:
    return f"grep -rn {label} --include='*.py' ."


def buckets(facts: Facts) -> Judgement:
    """Do the buckets reach as far as what is observed, and are they fine enough at the p95?"""
    looked_at = "histograms of the last hour"
    recent = recent_buckets(facts.values.get("buckets", ()), facts.values.get("buckets_before", ()))
    if not recent:
        return unknown(looked_at, "no observations")
    short, coarse = [], []
    for metric, counts in recent.items():
        n_all = counts.get(math.inf, 0)
        bounds = sorted(bound for bound in counts if bound != math.inf)
        if n_all < MIN_OBSERVATIONS or len(bounds) < 2:
            continue
        over = 1 - counts[bounds[-2]] / n_all
        if over > OVERFLOW_SHARE:
            past = 1 - counts[bounds[-1]] / n_all
            short.append(
                f"{metric}: {over:.0%} of {counted(n_all, 'observation')} are above {bounds[-2]:g}, {past:.0%} above "
                f"its last bound {bounds[-1]:g}; p95 cannot be told"
            )
        elif (low_high := _p95_bucket(counts, bounds)) and low_high[1] > COARSE_FACTOR * low_high[0] > 0:
            coarse.append(f"{metric}: the p95 is somewhere from {low_high[0]:g} to {low_high[1]:g}")
    overflow = [
        f"{labels.get('metric')}: {value:.0%} in or above the last finite bucket"
        for labels, value in facts.values.get("overflow", ())
        if value > OVERFLOW_SHARE and labels.get("metric") not in {text.partition(":")[0] for text in short}
    ]
    wrong = [*short, *overflow, *coarse]
    if wrong:
        return warn(looked_at, f"buckets do not fit: {listed(wrong)}", "agentgauge buckets suggest --last 1h")
    return ok(looked_at, f"{counted(len(recent), 'histogram')} looked at, the buckets fit")


def recent_buckets(now: Rows, before: Rows) -> dict[str, dict[float, float]]:
    """Return metric -> bound -> observations at or below it, of the last hour; from the start after a reset."""
    earlier = {(labels.get("__name__"), labels.get("le")): value for labels, value in before}
    counts: dict[str, dict[float, float]] = defaultdict(dict)
    totals: dict[str, dict[float, float]] = defaultdict(dict)
    for labels, value in now:
        name, le = labels.get("__name__", ""), labels.get("le", "")
        try:
            bound = float(le)
        except ValueError:
            continue
        metric = name.removesuffix("_bucket")
        counts[metric][bound] = value - earlier.get((name, le), 0.0)
        totals[metric][bound] = value
    return {name: totals[name] if min(found.values()) < 0 else found for name, found in sorted(counts.items())}


def _p95_bucket(counts: Mapping[float, float], bounds: list[float]) -> tuple[float, float] | None:
    rank = 0.95 * counts.get(math.inf, 0)
    lower = 0.0
    for bound in bounds:
        if counts[bound] >= rank:
            return lower, bound
        lower = bound
    return None


def resets(facts: Facts) -> Judgement:
    """Do counters of one instance begin anew again and again?"""
    looked_at = "resets of counters, last hour"
    rows = facts.values.get("resets")
    if rows is None:
        return unknown(looked_at, "not answered")
    worst = sorted(((value, labels.get("instance", "?")) for labels, value in rows), reverse=True)
    if worst and worst[0][0] >= MANY_RESETS:
        n_resets, name = worst[0]
        return warn(
            looked_at,
            f"{name} began anew {n_resets:.0f} times: it crashes, or several processes answer on one port in turn",
            f"ss -ltnp 'sport = :{name.rpartition(':')[2]}'   # one port per process; agentgauge.start() sees to it",
        )
    said = listed(f"{name} began anew {times(value)}" for value, name in worst)
    return ok(looked_at, said or "none")


def duplicates(facts: Facts) -> Judgement:
    """Is any call counted twice, by two hooks or by a hook inside a block?"""
    looked_at = "hooks of other libraries, hooks inside blocks, other exporters"
    nested = facts.values.get("nested")
    foreign = facts.values.get("foreign")
    if nested is None and foreign is None:
        return unknown(looked_at, "not answered")
    if nested:
        labels, value = nested[0]
        return warn(
            looked_at,
            f"{counted(value, 'call')} on {labels.get('instance', '?')} counted twice: the {labels.get('integration')} "
            "hook ran inside a block ag.llm_call()",
            "take ag.llm_call() away where ag.instrument() measures, or the other way round",
        )
    if foreign:
        said = listed(f"{labels.get('library')} on {labels.get('instance', '?')}" for labels, _ in foreign)
        return warn(
            looked_at,
            f"hooked twice, by us and by {said}: every call pays for both, and exporters of both count it",
            "keep one: uninstrument the other library, or leave ag.instrument() out",
        )
    if others := facts.values.get("other_counters"):
        said = listed(f"{labels.get('job')} at {labels.get('instance', '?')}" for labels, _ in others)
        return warn(
            looked_at,
            f"LLM calls also arrive as gen_ai_client_operation_duration from {said}: never add the two",
            "keep one exporter for each process",
        )
    return ok(looked_at, "none")


def tokens(facts: Facts) -> Judgement:
    """Do successful LLM calls report their tokens?"""
    looked_at = "agent_token_usage_total beside agent_llm_calls_total, last 15 minutes"
    rows = facts.values.get("tokenless")
    if rows is None:
        return unknown(looked_at, "not answered")
    if rows:
        said = listed(f"{labels.get('agent') or 'no agent'} on {labels.get('model')}" for labels, _ in rows)
        return warn(
            looked_at,
            f"calls succeed without tokens: {said}",
            "ag.instrument(), or call.usage(prompt=…, completion=…); streams over /v1 need "
            'stream_options={"include_usage": True}',
        )
    return ok(looked_at, "every model that answers reports tokens")


def errors(facts: Facts) -> Judgement:
    """Did anything of ours fail inside the agents?"""
    looked_at = "agentgauge_record_errors_total, last hour"
    rows = facts.values.get("errors")
    if rows is None:
        return unknown(looked_at, "not answered")
    if rows:
        said = listed(f"{labels.get('where')} {times(value)}" for labels, value in rows)
        return warn(looked_at, f"not recorded: {said}", "grep 'agentgauge could not record' <the agent's log>")
    return ok(looked_at, "none")


def accounting(facts: Facts) -> Judgement:
    """Do the seconds of the critical path sum to the durations of tasks?"""
    looked_at = "agentgauge_accounting_error_seconds"
    rows = facts.values.get("accounting")
    if not rows:
        return unknown(looked_at, "no agent tells")
    if rows[0][1] > ACCOUNTING_S:
        return warn(looked_at, f"off by {rows[0][1]:.3f} s", "please report it, with the version: agentgauge --version")
    return ok(looked_at, "path seconds and task durations agree")


def overhead(facts: Facts) -> Judgement:
    """What does recording cost the agents?"""
    looked_at = "agentgauge_overhead_seconds_total, measured in each process"
    rows = facts.values.get("overhead")
    if not rows:
        return unknown(looked_at, "no agent tells")
    share, name = max((value, labels.get("instance", "?")) for labels, value in rows)
    said = f"at most {share:.3%} of a core, at {name}; the budget is {OVERHEAD_BUDGET:.0%}"
    if share > OVERHEAD_BUDGET:
        return warn(
            looked_at,
            said,
            f"agentgauge query 'sum by (part) (rate(agentgauge_overhead_seconds_total{{instance=\"{name}\"}}[5m]))'",
        )
    return ok(looked_at, said)


def server_load(facts: Facts) -> Judgement:
    """What does the server cost the machine?"""
    looked_at = "agentgauge_process_cpu_seconds_total, agentgauge_process_resident_memory_bytes"
    cpu = max((value for _, value in facts.values.get("server_cpu", ())), default=None)
    memory = max((value for _, value in facts.values.get("server_memory", ())), default=None)
    if cpu is None:
        return unknown(looked_at, "the server does not scrape itself, or has just started")
    said = f"{cpu:.1%} of a core" + (f", {memory / (1 << 20):.0f} MiB" if memory else "")
    if cpu > SERVER_CPU_BUDGET:
        return warn(looked_at, f"{said}; the budget is {SERVER_CPU_BUDGET:.0%}", "agentgauge serve --interval 15s")
    return ok(looked_at, said)
