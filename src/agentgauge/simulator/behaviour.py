"""What the simulated model says when nobody scripts it: it uses the tools it is offered, then answers.

The system prompt is taken at its word: "search, read, then answer" uses, in this order, the offered tools that fit
these words, "search, and search again" searches twice in other words, "search the same again" in the same. Without such
a plan the one tool that fits the question best is used. After the last tool's result comes an answer that quotes it.
Everything depends on the turn alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentgauge.simulator.answer import Reply, ToolCall
from agentgauge.simulator.arguments import Hints, arguments_for, json_for

_WORD = re.compile(r"[a-z][a-z0-9]*")
_KIN = {
    "ask": "query", "browse": "fetch", "compute": "calculate", "download": "fetch", "find": "search",
    "look": "search", "open": "fetch", "read": "fetch", "retrieve": "search", "sum": "calculate", "visit": "fetch",
}  # fmt: skip
_ANSWERING = ("answer", "report", "reply", "finish")
_FILLER = (
    "It", "follows", "that", "each", "value", "is", "kept", "once", "and", "read", "by", "name", "so", "the", "count",
    "stays", "right", "when", "a", "process", "ends", "which", "means", "nothing", "waits", "for", "another", "lock",
    "while", "limits", "are", "checked", "before", "new", "labels", "enter", "in", "practice", "this", "holds",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Turn:
    """What the model sees when it is its turn, in the native form.

    Attributes:
        think: whether it shows its thinking. n_seen: how often this very request was made before.
        bad_arguments: a fault wants tool arguments that do not fit.
    """

    model: str
    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] = ()
    format: Any = None
    think: bool = False
    seed: int = 0
    n_seen: int = 0
    bad_arguments: bool = False

    def question(self) -> str:
        """Return the last thing the user said."""
        return next((_text(m) for m in reversed(self.messages) if m.get("role") == "user"), "")

    def system(self) -> str:
        """Return what the system messages say."""
        return "\n".join(_text(message) for message in self.messages if message.get("role") == "system")

    def results(self) -> list[Mapping[str, Any]]:
        """Return the tool results since the user last spoke, oldest first."""
        results: list[Mapping[str, Any]] = []
        for message in reversed(self.messages):
            if message.get("role") == "user":
                break
            if message.get("role") == "tool":
                results.append(message)
        return results[::-1]

    def rounds(self) -> int:
        """Return how many of the model's own messages with tool calls followed the user's last words."""
        n = 0
        for message in reversed(self.messages):
            if message.get("role") == "user":
                break
            n += bool(message.get("tool_calls"))
        return n


def converse(turn: Turn) -> Reply:
    """Return the reply: a tool call while the plan has steps left, else words (JSON when a format is asked for)."""
    rng = random.Random(f"reply:{turn.seed}")
    thinking = _thoughts(turn, rng) if turn.think else ""
    rounds = _rounds_of(plan_of(turn))
    step = turn.rounds()
    if step < len(rounds):
        calls = tuple(ToolCall(tool["name"], _arguments(turn, tool, rng)) for tool in rounds[step])
        return Reply("", thinking, calls)
    if turn.format is not None:
        return Reply(json_for(turn.format, _hints(turn, rng)), thinking)
    return Reply(_words(turn, rng), thinking)


def plan_of(turn: Turn) -> list[Mapping[str, Any]]:
    """Return the functions to use, in order, read from the system prompt, else the one that fits the question."""
    functions = [tool.get("function") or {} for tool in turn.tools]
    if not functions:
        return []
    plan: list[Mapping[str, Any]] = []
    for clause in re.split(r"[,;:.]|\bthen\b|\band\b", turn.system().lower()):
        if any(word in clause for word in _ANSWERING):
            continue
        best = max(functions, key=lambda f: _fit(clause, str(f.get("name"))), default=None)
        if (
            best is not None
            and _fit(clause, str(best.get("name"))) > 0
            and (not plan or plan[-1] is not best or "again" in clause)
        ):
            plan.append(best)
    if plan:
        return plan
    question = turn.question().lower()
    return [max(functions, key=lambda f: _fit(question, f"{f.get('name')} {f.get('description')}"))]


def _rounds_of(plan: list[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Return a plan's steps by turn: of three or more the first two, when they differ, are called side by side."""
    if len(plan) > 2 and plan[0] is not plan[1]:
        return [plan[:2], *([tool] for tool in plan[2:])]
    return [[tool] for tool in plan]


def _fit(text: str, name: str) -> float:
    """Return how well words fit a tool's name: the number of words of the name that the text has in some form."""
    said = {_KIN.get(word, word) for word in _WORD.findall(text)} | set(_WORD.findall(text))
    named = _WORD.findall(name.lower())
    hits = sum(1.0 for part in named if any(_kin(part, word) for word in said))
    return hits / (1 + 0.01 * len(named))


def _kin(a: str, b: str) -> bool:
    shorter = min(len(a), len(b))
    return a == b or (shorter >= 4 and a[: max(4, shorter - 2)] == b[: max(4, shorter - 2)])


def _arguments(turn: Turn, function: Mapping[str, Any], rng: random.Random) -> Mapping[str, Any]:
    arguments = _said_before(turn, function) or arguments_for(function, _hints(turn, rng))
    if turn.bad_arguments:
        return dict.fromkeys(arguments, "¿?")
    return arguments


def _said_before(turn: Turn, function: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what a tool was last called with, where the system prompt wants the same again."""
    if "the same again" not in turn.system().lower():
        return None
    for message in reversed(turn.messages):
        if message.get("role") == "user":
            return None
        for call in message.get("tool_calls") or ():
            made = call.get("function") or {}
            if made.get("name") == function.get("name") and isinstance(made.get("arguments"), Mapping):
                arguments: Mapping[str, Any] = made["arguments"]
                return arguments
    return None


def _hints(turn: Turn, rng: random.Random) -> Hints:
    return Hints(turn.question(), tuple(_text(result) for result in turn.results()), rng)


def _words(turn: Turn, rng: random.Random) -> str:
    """Return an answer of two to five sentences; it begins with what the last tool said."""
    results = [_text(result) for result in turn.results()]
    quoted = " ".join(results[-1].split()[:24]) if results and results[-1].strip() else ""
    opening = f"From what was found: {quoted}. " if quoted else ""
    topic = " ".join(turn.question().split()[:6]).rstrip("?.!:")
    sentences = [f"About {topic}:" if topic else "Here is the answer:"]
    for _ in range(rng.randint(2, 5)):
        words = rng.sample(_FILLER, rng.randint(6, 14))
        sentences.append(" ".join(words).capitalize() + ".")
    return opening + " ".join(sentences)


def _thoughts(turn: Turn, rng: random.Random) -> str:
    topic = " ".join(turn.question().split()[:8])
    words = " ".join(rng.sample(_FILLER, rng.randint(8, 20)))
    return f"The user asks: {topic}. Let me think. {words.capitalize()}."


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""
