"""The exact promises of the time accounting: golden cases, and random trees against independent references."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

import pytest

from agentgauge.record.node import BranchNode, Node
from agentgauge.record.path import clip, path_seconds, solo_seconds, walk
from agentgauge.record.states import MAX_KNOWN, StateSeconds, state_label
from agentgauge.record.timeline import Timeline

UNIT = 1_000
"""Nanoseconds per unit of the golden cases: halves are exact."""


@dataclass
class Work:
    """A span as a person would draw it, in units or nanoseconds."""

    component: str
    start: float
    end: float
    children: list[Work] = field(default_factory=list)
    name: str = ""
    detached: bool = False
    is_branch: bool = False


def all_works(work: Work) -> list[Work]:
    """Return a work and everything below it, parents first."""
    return [work, *(below for child in work.children for below in all_works(child))]


# -- through the code under test ----------------------------------------------------------------------------------


def replayed(root: Work, chance: random.Random, unit: int = 1) -> tuple[Timeline, dict[str, int], int]:
    """Replay a tree through a timeline, ties in random order; return it, its states by label, and detached ns."""
    nodes: dict[int, Node] = {}
    parents: dict[int, Work] = {}
    events = []
    for order, work in enumerate(all_works(root)):
        tie = chance.random()
        events.append((round(work.start * unit), order, 0, work))
        late = round(work.end * unit)
        events.append((late, order if late == round(work.start * unit) else tie - 1, 1, work))
        parents.update((id(child), work) for child in work.children)
    events.sort(key=lambda event: event[:3])
    seconds = StateSeconds()
    timeline = Timeline(seconds.by_leaves, round(root.start * unit))
    detached = 0
    for t_ns, _, is_end, work in events:
        if work is root:
            nodes[id(root)] = timeline.root
            if is_end:
                timeline.end(timeline.root, t_ns)
                frozen = dict(seconds.by_label())
        elif is_end and work.is_branch:
            timeline.end_branch(nodes[id(work)], t_ns)
        elif is_end:
            detached += timeline.end(nodes[id(work)], t_ns)
        else:
            parent = None if work.detached else nodes[id(parents[id(work)])]
            if work.is_branch and parent is not None:
                nodes[id(work)] = BranchNode(parent.key, parent)
                timeline.start_branch(nodes[id(work)], t_ns)
                continue
            nodes[id(work)] = Node((work.component, work.name), parent)
            timeline.start(nodes[id(work)], t_ns)
    return timeline, {label: ns for label, ns in frozen.items() if ns}, detached


def grown(work: Work, parent: Node | None, unit: int = 1) -> Node:
    """Build nodes as an import would: unclipped."""
    node = Node((work.component, work.name), parent)
    node.start_ns, node.end_ns = round(work.start * unit), round(work.end * unit)
    node.children = [grown(child, node, unit) for child in work.children if not child.detached]
    return node


# -- independent references ---------------------------------------------------------------------------------------


def clipped(work: Work) -> Work | None:
    """Cut a tree by the definition; None for what is left empty."""

    def cut(below: Work, start: float, end: float) -> Work | None:
        start, end = max(start, below.start), min(end, below.end)
        if end <= start:
            return None
        children = [cut(child, start, end) for child in below.children if not child.detached]
        return Work(below.component, start, end, [child for child in children if child], below.name)

    return cut(work, work.start, work.end)


def swept(root: Work) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """Look at every elementary interval: which leaves are open? Return state seconds and solo seconds."""
    cut = clipped(root)
    states: Counter[str] = Counter()
    solo: Counter[tuple[str, str]] = Counter()
    if cut is None:
        return states, solo
    works = all_works(cut)
    times = sorted({t for work in works for t in (work.start, work.end)})
    for start, end in itertools.pairwise(times):
        leaves = [
            work
            for work in works
            if work.start <= start
            and work.end >= end
            and not any(child.start <= start and child.end >= end for child in work.children)
        ]
        coarse = {state_label(Node((work.component, work.name)).leaf) for work in leaves}
        states["+".join(sorted(coarse))] += int(end - start)
        fine = {(work.component, work.name) for work in leaves}
        if len(fine) == 1:
            solo[fine.pop()] += int(end - start)
    return states, solo


def walked(root: Work) -> dict[tuple[str, str], Fraction]:
    """Walk back by the definition, recursively, in exact fractions."""
    path: dict[tuple[str, str], Fraction] = {}

    def walk(work: Work, weight: Fraction) -> None:
        tokens = {work.end: weight}
        key = (work.component, work.name)
        while tokens:
            t = max(tokens)
            share = tokens.pop(t)
            ended = [child for child in work.children if child.end <= t]
            m = max((child.end for child in ended), default=work.start)
            path[key] = path.get(key, Fraction(0)) + share * int(t - m)
            last = [child for child in ended if child.end == m]
            for child in last:
                walk(child, share / len(last))
                if child.start > work.start:
                    tokens[child.start] = tokens.get(child.start, Fraction(0)) + share / len(last)

    cut = clipped(root)
    if cut is not None:
        walk(cut, Fraction(1))
    return {key: ns for key, ns in path.items() if ns}


# -- golden cases -------------------------------------------------------------------------------------------------


def tool(start: float, end: float, name: str = "", **more: bool) -> Work:
    return Work("tool", start, end, name=name, **more)


def llm(start: float, end: float) -> Work:
    return Work("llm", start, end)


def own(start: float, end: float, *children: Work) -> Work:
    return Work("own", start, end, list(children))


G10 = own(
    0,
    12,
    llm(0, 2),
    Work("agent", 2, 10, [llm(2.5, 5), tool(5, 9.5)]),
    llm(10, 11.5),
)
G11 = own(
    0,
    9,
    Work("llm", 0, 9, [Work("retry", 0, 3), Work("backoff", 3, 5), Work("prefill", 5, 6), Work("decode", 6, 9)]),
)
NAMED = [tool(0, 5, "a"), tool(5, 10, "c"), tool(0, 5, "d"), tool(5, 6, "f")]

GOLDEN: dict[str, tuple[Work, dict[str, float], dict[str, float], float]] = {
    "G1": (own(0, 50, llm(0, 50), tool(0, 49)), {"llm": 50}, {"llm+tool": 49, "llm": 1}, 0),
    "G2": (own(0, 30, llm(0, 10), tool(10, 20), llm(20, 30)), {"llm": 20, "tool": 10}, {"llm": 20, "tool": 10}, 0),
    "G3": (
        own(0, 100, tool(0, 60), llm(50, 100)),
        {"llm": 50, "own": 50},
        {"tool": 50, "llm+tool": 10, "llm": 40},
        0,
    ),
    "G4": (own(0, 10, tool(0, 10), llm(5, 10)), {"tool": 5, "llm": 2.5, "own": 2.5}, {"tool": 5, "llm+tool": 5}, 0),
    "G5": (
        own(0, 10, llm(0, 10), own(0, 10, *(tool(0, 10) for _ in range(9)))),
        {"llm": 5, "tool": 5},
        {"llm+tool": 10},
        0,
    ),
    "G6": (own(0, 10, llm(0, 6), tool(8, 13)), {"llm": 6, "own": 2, "tool": 2}, {"llm": 6, "own": 2, "tool": 2}, 3),
    "G7": (own(0, 10, tool(0, 60)), {"tool": 10}, {"tool": 10}, 50),
    "G7 detached": (own(0, 10, tool(0, 60, detached=True)), {"own": 10}, {"own": 10}, 60),
    "G8": (own(0, 10, *NAMED), {"a": 2.5, "d": 2.5, "c": 5}, {"tool": 10}, 0),
    "G9": (own(0, 10, own(0, 10, *NAMED[:2]), own(0, 6, *NAMED[2:])), {"a": 5, "c": 5}, {"tool": 10}, 0),
    "G10": (G10, {"llm": 6, "tool": 4.5, "agent": 1, "own": 0.5}, {"llm": 6, "tool": 4.5, "own": 1.5}, 0),
    "G11": (G11, {"retry": 3, "backoff": 2, "prefill": 1, "decode": 3}, {"llm": 7, "backoff": 2}, 0),
}
"""Case -> tree, path by component (by name where there is one), states by label, detached; in units."""


@pytest.mark.parametrize("case", GOLDEN)
def test_golden_cases(case: str) -> None:
    """The specification's cases come out to the nanosecond, live and at the end."""
    tree, path, states, detached = GOLDEN[case]
    timeline, live, outside = replayed(tree, random.Random(0), UNIT)
    clip(timeline.root)
    found = {name or component: ns for (component, name), ns in path_seconds(timeline.root).items() if ns}
    assert found == {key: units * UNIT for key, units in path.items()}
    assert live == {key: units * UNIT for key, units in states.items()}
    assert outside == detached * UNIT


def test_the_worked_example() -> None:
    """The example of the specification: path and alone seconds, phases as children of their calls."""
    first = Work(
        "llm", 0, 3_000, [Work("queue", 0, 1_000), Work("prefill", 1_000, 1_500), Work("decode", 1_500, 3_000)]
    )
    second = Work(
        "llm", 7_200, 9_800, [Work("queue", 7_200, 7_400), Work("prefill", 7_400, 7_800), Work("decode", 7_800, 9_800)]
    )
    root = grown(own(0, 10_000, first, tool(3_200, 6_200, "search"), tool(3_200, 7_200, "db"), second), None)
    clip(root)
    path = path_seconds(root)
    assert path == {
        ("queue", ""): 1_200,
        ("prefill", ""): 900,
        ("decode", ""): 3_500,
        ("tool", "db"): 4_000,
        ("own", ""): 400,
    }
    solo = solo_seconds(root)
    assert solo[("tool", "db")] == 1_000
    assert ("tool", "search") not in solo


# -- random trees -------------------------------------------------------------------------------------------------


def random_tree(chance: random.Random, *, early: bool = False) -> Work:
    """Return a tree of 2 to 60 works that nest, overlap, tie and outlive each other, on a clock of random grain."""
    grain = chance.choice([1, 1_000, 100_000, 1_000_000])
    n_works = chance.randint(1, 59)
    length = grain * chance.randint(1, 40) if grain > 1 else chance.randint(1, 10_000)
    root = Work("own", 0, length)
    works = [root]
    for _ in range(n_works):
        parent = chance.choice(works[-6:] if chance.random() < 0.7 else works)
        room = int(parent.end - parent.start)
        start = int(parent.start) + chance.randint(-room // 4 if early else 0, max(1, int(room * 1.1)))
        end = start + chance.randint(0, max(1, int(room * chance.choice([0.3, 0.6, 1.2]))))
        start, end = start // grain * grain, end // grain * grain
        if not early:
            start, end = max(start, int(parent.start)), max(end, int(parent.start))
        work = Work(
            chance.choice(["llm", "tool", "own", "agent", "wait", "backoff"]),
            start,
            end,
            name=chance.choice(["", "x", "y"]),
            detached=chance.random() < 0.03,
        )
        parent.children.append(work)
        works.append(work)
    return root


def shuffled(work: Work, chance: random.Random) -> Work:
    """Return the same tree with children in another order."""
    children = [shuffled(child, chance) for child in work.children]
    chance.shuffle(children)
    return Work(work.component, work.start, work.end, children, work.name, work.detached)


def branched(work: Work, chance: random.Random) -> Work:
    """Put lines of execution between works and some of their children, which may outlast them."""
    children: list[Work] = []
    for child in [branched(child, chance) for child in work.children]:
        is_within = work.start <= child.start < min(work.end, child.end)
        if not is_within or child.detached or chance.random() < 0.5:
            children.append(child)
            continue
        start = chance.randint(int(work.start), int(child.start))
        end = chance.randint(int(child.start) + 1, int(child.end))
        line = Work(work.component, start, end, [child], work.name)
        line.is_branch = True
        children.append(line)
    return Work(work.component, work.start, work.end, children, work.name, work.detached, work.is_branch)


def waited_out(work: Work) -> Work:
    """Return the tree with each line as long as the last work that was begun below it while the line was open."""
    children = [waited_out(child) for child in work.children]
    end = work.end
    if work.is_branch:
        end = max([end, *(child.end for child in children if not child.detached and child.start <= work.end)])
    return Work(work.component, work.start, end, children, work.name, work.detached, work.is_branch)


SEEDS = range(2_000)


def test_path_partitions_every_tree() -> None:
    """The path of 2,000 random trees equals the reference, sums to the duration and ignores the order of children."""
    for seed in SEEDS:
        chance = random.Random(seed)
        tree = random_tree(chance, early=True)
        root = grown(tree, None)
        clip(root)
        path = path_seconds(root)
        assert sum(path.values()) == tree.end - tree.start, seed
        assert min(path.values(), default=0) >= 0, seed
        exact = walked(tree)
        assert {key for key, ns in path.items() if ns} <= set(exact), seed
        assert all(abs(path.get(key, 0) - ns) < 1 for key, ns in exact.items()), seed
        again = grown(shuffled(tree, chance), None)
        clip(again)
        assert path_seconds(again) == path, seed


def test_solo_seconds_equal_a_sweep() -> None:
    """Seconds alone equal a look at every elementary interval, for 2,000 random trees."""
    for seed in SEEDS:
        tree = random_tree(random.Random(seed), early=True)
        root = grown(tree, None)
        clip(root)
        _, expected = swept(tree)
        assert {key: ns for key, ns in solo_seconds(root).items() if ns} == expected, seed


def test_the_short_way_is_right_where_it_is_taken() -> None:
    """Where the timeline saw one thing at a time, with phases or without, both ways find the same."""
    n_in_turn = 0
    for seed in SEEDS:
        chance = random.Random(seed)
        tree = random_tree(chance)
        tree.children = tree.children[: 1 + seed % 3]
        timeline, _, _ = replayed(tree, chance)
        if not timeline.in_turn:
            continue
        n_in_turn += 1
        for call in timeline.root.children or ():
            middle_ns = (call.start_ns + (call.end_ns or 0)) // 2
            if call.key[0] == "llm" and not call.children:
                call.tile(("queue", "m"), call.start_ns, middle_ns)
                call.tile(("decode", "m"), middle_ns, call.end_ns or 0)
        short = walk(timeline.root, in_turn=True)
        assert sum(part_ns for _, part_ns, _ in short.values()) == tree.end - tree.start, seed
        full = walk(timeline.root)
        assert {k: v for k, v in short.items() if any(v)} == {k: v for k, v in full.items() if any(v)}, seed
    assert n_in_turn > 100


def test_counts_of_leaves_stay_few_in_a_process_that_nobody_scrapes() -> None:
    """Past a thousand combinations they are added up by label; nothing is lost."""
    seconds = StateSeconds()
    timeline = Timeline(seconds.by_leaves, 0)
    for t_ns in range(1, 2 * MAX_KNOWN):
        timeline.start(Node(("tool", "t"), timeline.root), t_ns)
    assert len(seconds.by_leaves) > MAX_KNOWN
    seconds.bound()
    assert len(seconds.by_leaves) == 0
    assert {label: ns for label, ns in seconds.by_label().items() if ns} == {"own": 1, "tool": 2 * MAX_KNOWN - 2}


def test_live_states_equal_a_sweep() -> None:
    """Live masks equal an offline sweep, integer for integer, and sum to the duration; so does the live tree's path."""
    for seed in SEEDS:
        chance = random.Random(seed)
        tree = random_tree(chance)
        timeline, live, _ = replayed(tree, chance)
        expected, _ = swept(tree)
        assert live == {label: ns for label, ns in expected.items() if ns}, seed
        assert sum(live.values()) == tree.end - tree.start, seed
        clip(timeline.root)
        root = grown(tree, None)
        clip(root)
        assert path_seconds(timeline.root) == path_seconds(root), seed


def test_lines_last_as_long_as_what_they_began() -> None:
    """With lines of execution in it the live tree still is the drawn one: states, path and detached time."""
    n_longer = n_whole = 0
    for seed in SEEDS:
        chance = random.Random(seed)
        tree = branched(random_tree(chance), chance)
        meant = waited_out(tree)
        n_longer += [work.end for work in all_works(tree)] != [work.end for work in all_works(meant)]
        timeline, live, detached = replayed(tree, chance)
        expected, _ = swept(since_first_call(meant))
        assert live == {label: ns for label, ns in expected.items() if ns}, seed
        assert detached == outside(meant), seed
        if has_cut_lines(meant, meant.end):
            continue  # cut by an end above, where the path looks no further than its calls
        n_whole += 1
        clip(timeline.root)
        root = grown(meant, None)
        clip(root)
        assert path_seconds(timeline.root) == path_seconds(root), seed
    assert (n_longer > 1_000, n_whole > 250) == (True, True)


def test_lines_that_nobody_waits_for_are_not_on_the_path() -> None:
    """A poller cut by the task's end, or cancelled, counts with its calls alone; a line without calls is not there."""
    timeline = Timeline(StateSeconds().by_leaves, 0)
    poller, other, idle = (BranchNode(timeline.root.key, timeline.root) for _ in range(3))
    for line in (poller, other, idle):
        timeline.start_branch(line, 0)
    for name, parent, start_ns, end_ns in (
        ("poll", poller, 10, 20),
        ("poll", other, 10, 20),
        ("work", poller.parent, 20, 90),
    ):
        call = Node(("tool", name), parent)
        timeline.start(call, start_ns)
        timeline.end(call, end_ns)
    timeline.end_branch(other, 95, was_cancelled=True)
    timeline.end(timeline.root, 100)
    assert timeline.root.children is not None
    assert len(timeline.root.children) == 3
    assert timeline.leaves == 0
    clip(timeline.root)
    assert path_seconds(timeline.root) == {("own", ""): 20, ("tool", "poll"): 10, ("tool", "work"): 70}


def since_first_call(work: Work) -> Work:
    """Return the tree as the live state sees it: a line shows from its first call on."""
    children = [since_first_call(child) for child in work.children]
    start = min([child.start for child in children], default=work.start) if work.is_branch else work.start
    return Work(work.component, start, work.end, children, work.name, work.detached, work.is_branch)


def has_cut_lines(work: Work, until: float) -> bool:
    """Tell whether a line of a tree is still open when something above it ends."""
    return any(
        (child.is_branch and child.end >= min(until, work.end)) or has_cut_lines(child, min(until, work.end))
        for child in work.children
    )


def outside(tree: Work) -> float:
    """Add up what works do beyond the ends of those they stand in; a line is no work, what it stands in counts."""

    def below(work: Work, around: Work) -> float:
        if work.detached:
            beyond = work.end - work.start
        elif work.is_branch:
            return sum(below(child, around) for child in work.children)
        else:
            beyond = max(0, work.end - max(work.start, around.end))
        return beyond + sum(below(child, work) for child in work.children)

    return sum(below(child, tree) for child in tree.children)


def test_detached_work_is_what_outlives_its_parent() -> None:
    """Detached seconds are the parts of works beyond their parents' ends, for 2,000 random trees."""
    for seed in SEEDS:
        chance = random.Random(seed)
        tree = random_tree(chance)
        _, _, detached = replayed(tree, chance)
        expected = sum(
            child.end - child.start if child.detached else max(0, child.end - max(child.start, work.end))
            for work in all_works(tree)
            for child in work.children
        )
        assert detached == expected, seed


def test_scrapes_between_events_change_nothing() -> None:
    """Advancing at random instants leaves every sum as it is."""
    seconds = StateSeconds()
    timeline = Timeline(seconds.by_leaves, 0)
    call = Node(("llm", "m"), timeline.root)
    timeline.advance(3)
    timeline.start(call, 5)
    for t_ns in (6, 9, 7):
        timeline.advance(t_ns)
    timeline.end(call, 10)
    timeline.end(timeline.root, 12)
    assert {label: ns for label, ns in seconds.by_label().items() if ns} == {"own": 7, "llm": 5}


def test_a_clock_that_runs_back_is_held() -> None:
    """Events before the last one count at the last one: nothing is negative."""
    timeline = Timeline(StateSeconds().by_leaves, 10)
    call = Node(("llm", "m"), timeline.root)
    timeline.start(call, 20)
    timeline.end(call, 5)
    timeline.end(timeline.root, 1)
    clip(timeline.root)
    assert path_seconds(timeline.root) == {("own", ""): 10}


def test_work_beyond_the_cap_falls_to_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit of spans a task stays exact, only coarser."""
    monkeypatch.setattr("agentgauge.record.timeline.MAX_NODES", 3)
    seconds = StateSeconds()
    timeline = Timeline(seconds.by_leaves, 0)
    for i in range(4):
        call = Node(("tool", "t"), timeline.root)
        timeline.start(call, i * 10)
        timeline.end(call, i * 10 + 10)
    timeline.end(timeline.root, 40)
    clip(timeline.root)
    assert path_seconds(timeline.root) == {("tool", "t"): 20, ("own", ""): 20}


def test_depth_costs_no_recursion() -> None:
    """Depth costs no stack."""
    timeline = Timeline(StateSeconds().by_leaves, 0)
    node = timeline.root
    for i in range(5_000):
        node = Node(("tool", "t"), node)
        timeline.start(node, i)
    timeline.end(timeline.root, 10_000)
    clip(timeline.root)
    assert sum(path_seconds(timeline.root).values()) == 10_000


def test_cancelled_siblings_by_the_thousand_stay_quick() -> None:
    """Ten thousand children that end at one instant share it, exactly."""
    root = grown(own(0, 30_000, *(tool(i, 30_000, "t") for i in range(10_000))), None)
    clip(root)
    path = path_seconds(root)
    assert sum(path.values()) == 30_000
