"""Checks of the way from agents to answers: targets, scrapes, clocks, storage, queries. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from urllib.parse import urlsplit

from agentgauge.doctor.facts import Facts, TargetFact
from agentgauge.doctor.finding import Judgement, bad, counted, listed, ok, unknown, warn

SLOW_QUERY_S = 2.0
SKEW_S = 2.0
BAD_SKEW_S = 30.0
GAP_INTERVALS = 2.5
"""A pause between two samples of so many intervals is a gap: one beat may be left out by a slow scrape."""

FLAPPING_SHARE = 0.1
_LOOPBACK = {"localhost": "127.0.0.1", "::1": "127.0.0.1", "0.0.0.0": "127.0.0.1"}


def server(facts: Facts) -> Judgement:
    """Does the place that answers queries answer?"""
    seen = facts.server
    if seen.error:
        return bad(seen.where, seen.error, "agentgauge serve   # or name another server: agentgauge doctor --url URL")
    return ok(seen.where, f"answers within {seen.took_s * 1000:.0f} ms")


def targets(facts: Facts) -> Judgement:
    """Is every target up, and why not?"""
    looked_at = f"targets of {facts.server.where}"
    if facts.targets is None:
        return _targets_by_query(facts, looked_at)
    down = [target for target in facts.targets if target.health == "down"]
    if down:
        worst = down[0]
        return bad(
            looked_at,
            f"{len(down)} of {len(facts.targets)} down: " + listed(f"{one.instance}: {one.error}" for one in down),
            f"curl -sS '{worst.url}' | head",
        )
    if not facts.targets:
        return unknown(looked_at, "nothing is scraped yet", "python -c 'import agentgauge as ag; ag.start()'")
    return ok(looked_at, f"{len(facts.targets)} up")


def _targets_by_query(facts: Facts, looked_at: str) -> Judgement:
    rows = facts.values.get("up")
    if rows is None:
        return unknown(looked_at, "the server does not answer")
    down = [labels.get("instance", "?") for labels, value in rows if value == 0]
    if down:
        return bad(looked_at, f"{len(down)} of {len(rows)} down: {listed(down)}", f"curl -sS http://{down[0]}/metrics")
    return ok(looked_at, f"{len(rows)} up by their last sample") if rows else unknown(looked_at, "no sample of up")


def answers(facts: Facts) -> Judgement:
    """Does each target answer with metrics when it is asked from here?"""
    asked = [target for target in facts.targets or () if target.answer is not None]
    looked_at = "what targets answer when asked from here"
    if not asked:
        return unknown(looked_at, "no target to ask")
    wrong = [target for target in asked if target.answer and target.answer.kind not in ("agentgauge", "metrics")]
    if wrong:
        return bad(looked_at, listed(map(_wrong_answer, wrong)), f"curl -sSi '{wrong[0].url}' | head -20")
    n_bytes = sum(target.answer.n_bytes for target in asked if target.answer)
    return ok(looked_at, f"{counted(len(asked), 'target')} asked, metrics from all: {counted(n_bytes, 'byte')}")


def _wrong_answer(target: TargetFact) -> str:
    answer = target.answer
    if answer is None or answer.kind == "nothing":
        return f"{target.url}: {answer.error if answer else 'nothing'}"
    if answer.kind == "html":
        return f"{target.url} answers with HTML: the wrong port or path"
    return f"{target.url} answers HTTP {answer.status} and no metrics"


def twice(facts: Facts) -> Judgement:
    """Is any process scraped twice under two names, so that every sum is doubled?"""
    looked_at = "addresses of all targets"
    places: dict[str, list[str]] = defaultdict(list)
    for target in facts.targets or ():
        parts = urlsplit(target.url)
        host = _LOOPBACK.get(parts.hostname or "", parts.hostname or "")
        places[f"{host}:{parts.port}{parts.path}"].append(f"{target.instance} (job {target.job})")
    doubled = {place: names for place, names in places.items() if len(names) > 1}
    if doubled:
        place, names = next(iter(doubled.items()))
        return warn(
            looked_at,
            f"{place} is scraped as {' and as '.join(names)}: what it counts is counted twice",
            "agentgauge serve   # without --target for agents that are found by themselves",
        )
    return ok(looked_at, f"{counted(len(places), 'target')}, no place twice")


def clock(facts: Facts) -> Judgement:
    """Do the clocks of server and targets agree with this one, and are no samples from the future?"""
    looked_at = "clocks of server and targets, newest samples"
    off = [
        (f"{target.instance}", target.answer.ahead_s)
        for target in facts.targets or ()
        if target.answer and target.answer.ahead_s is not None and abs(target.answer.ahead_s) > SKEW_S
    ]
    if facts.server.ahead_s is not None and abs(facts.server.ahead_s) > SKEW_S:
        off.append((facts.server.where, facts.server.ahead_s))
    newest_ms = max((times[-1] for _, times, _ in facts.tracks.get("ups", ()) if times), default=0)
    if newest_ms > facts.now_ms + SKEW_S * 1000:
        off.append(("the newest stored sample", (newest_ms - facts.now_ms) / 1000))
    if off:
        worst_s = max(abs(ahead_s) for _, ahead_s in off)
        said = listed(f"{name} is {abs(ahead_s):.0f} s {'ahead' if ahead_s > 0 else 'behind'}" for name, ahead_s in off)
        return (bad if worst_s > BAD_SKEW_S else warn)(
            looked_at, said, "timedatectl status && timedatectl set-ntp true"
        )
    return ok(looked_at, f"all within {SKEW_S:g} s, to the second")


def gaps(facts: Facts) -> Judgement:
    """Was every target scraped on every beat of the last quarter of an hour?"""
    looked_at = "samples of up, last 15 minutes"
    tracks = facts.tracks.get("ups")
    if not tracks:
        return unknown(looked_at, "no samples")
    found, flapping = [], []
    for labels, times, values in tracks:
        interval_ms = _interval_ms(facts, labels.get("instance", ""), times)
        longest_ms = max((after - before for before, after in pairwise(times)), default=0)
        if interval_ms and longest_ms > GAP_INTERVALS * interval_ms:
            found.append((longest_ms / 1000, labels.get("instance", "?")))
        share = sum(value == 0 for value in values) / len(values) if values else 0
        if FLAPPING_SHARE < share < 1 and values[-1] == 1:
            flapping.append(f"{labels.get('instance', '?')} was down in {share:.0%} of its scrapes")
    if found:
        longest_s, name = max(found)
        return warn(
            looked_at,
            f"gaps in the samples of {len(found)} of {counted(len(tracks), 'target')}, "
            f"the longest {longest_s:.0f} s at {name}: rates are wrong across it",
            "journalctl -u agentgauge --since -15min   # was the server stopped, or the machine asleep?",
        )
    if flapping:
        return warn(looked_at, listed(flapping), "agentgauge query 'avg_over_time(up[15m])'")
    n_samples = sum(len(stamps) for _, stamps, _ in tracks)
    return ok(looked_at, f"{counted(n_samples, 'sample')} of {counted(len(tracks), 'target')}, no gap")


def _interval_ms(facts: Facts, instance: str, times: Sequence[int]) -> float:
    """Return the interval that the server says, else the median of what is there; 0 when neither is known."""
    for target in facts.targets or ():
        if target.instance == instance and target.interval_s:
            return target.interval_s * 1000
    steps = sorted(after - before for before, after in pairwise(times))
    return steps[len(steps) // 2] if len(steps) > 3 else 0


def stalled(facts: Facts) -> Judgement:
    """Is scraping going on now, and on time?"""
    looked_at = "last scrapes, agentgauge_scrape_lag_seconds"
    if not facts.targets:
        return unknown(looked_at, "no target")
    late = [
        f"{target.instance} {(facts.now_ms - target.last_scrape_ms) / 1000:.0f} s ago"
        for target in facts.targets
        if target.interval_s
        and target.last_scrape_ms
        and facts.now_ms - target.last_scrape_ms > max(4 * target.interval_s, 10) * 1000
    ]
    if late:
        return bad(looked_at, f"scraping has stopped: {listed(late)}", "restart agentgauge serve")
    lag_s = max((value for _, value in facts.values.get("lag", ())), default=None)
    interval_s = max((target.interval_s for target in facts.targets), default=0) or 5.0
    if lag_s is not None and lag_s > interval_s / 2:
        return warn(
            looked_at,
            f"scrapes began up to {lag_s:.1f} s late: the server has more to do than its time allows",
            f"agentgauge serve --interval {2 * interval_s:g}s",
        )
    return ok(looked_at, "on time" + (f", at most {lag_s * 1000:.0f} ms late" if lag_s is not None else ""))


def dropped(facts: Facts) -> Judgement:
    """Was everything stored that was scraped?"""
    looked_at = "agentgauge_samples_dropped_total, last hour"
    rows = facts.values.get("dropped")
    if rows is None:
        return unknown(looked_at, "not answered")
    if rows:
        said = listed(f"{counted(value, 'sample')} {labels.get('reason', '')}" for labels, value in rows)
        return warn(looked_at, f"not stored: {said}", "agentgauge db --help   # too_old and too_new: see the clocks")
    return ok(looked_at, "nothing was dropped")


def queries(facts: Facts) -> Judgement:
    """Are queries answered fast enough for a page that lives?"""
    looked_at = "agentgauge_query_duration_seconds, p95"
    p95_s = max((value for _, value in facts.values.get("queries", ())), default=None)
    if p95_s is None:
        return (
            ok(looked_at, f"this look took {facts.server.took_s * 1000:.0f} ms")
            if not facts.server.error
            else (unknown(looked_at, "not answered"))
        )
    if p95_s > SLOW_QUERY_S:
        return warn(
            looked_at, f"{p95_s:.1f} s", "agentgauge serve --query-concurrency 2   # and shorter ranges, fewer series"
        )
    return ok(looked_at, f"{p95_s * 1000:.0f} ms")
