"""Span -> rows of the METRICS table in the one ledger, in one critical section per span.

What cannot be counted (a negative duration, a token count that is no number) is refused and counted as a record
error; the rest of the span still counts. It knows no operations and no contexts: ``record/operation.py`` feeds it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from threading import get_ident

from agentgauge.model.accounts import PathKey, PathPart, TaskAccounts
from agentgauge.model.clock import Clock
from agentgauge.model.metrics import CALL_STATUSES, OTHER, SLO_SIDES, TASK_STATUSES
from agentgauge.model.span import LLMCall, Phases, Span, Task, TokenUsage, ToolCall
from agentgauge.record.amounts import MAX_AMOUNT, elapsed_ns, whole
from agentgauge.record.ledger import Ledger
from agentgauge.record.live import LiveTasks
from agentgauge.record.paths import Paths
from agentgauge.record.rows import LLMRows, TaskRows, ToolRows

NO_ACCOUNTS = TaskAccounts()

ONE_ATTEMPT = (1, 0, 0)

CALL_STATUS_INDEX = {status: index for index, status in enumerate(CALL_STATUSES)}
TASK_STATUS_INDEX = {status: index for index, status in enumerate(TASK_STATUSES)}
ERROR_INDEX = CALL_STATUS_INDEX["error"]
FAILURE_INDEX = TASK_STATUS_INDEX["failure"]
"""What a status that is none counts as."""

MAX_ID_CHARACTERS = 128 - len("task_id") - len("trace_id")
"""OpenMetrics allows an exemplar 128 characters of names and values."""

ROOM = 100
"""Series that must be free for a new agent, model or tool: more than any of them has, the lazy ones included."""


class Recorder:
    """The one mapping from finished work to counts.

    Every method returns at once, never raises (but in strict mode) and may be called from finalisers, signal
    handlers and any thread. The ``*_rows`` methods return None where the rows cannot be known yet (an unknown model,
    a re-entrant call); pass that None on: the commit finds them.
    """

    def __init__(self, ledger: Ledger | None = None, clock: Clock | None = None) -> None:
        self.ledger = ledger if ledger is not None else Ledger(clock=clock)
        self.clock: Clock = clock if clock is not None else self.ledger.clock
        self.guard = self.ledger.guard
        self.live = LiveTasks(self.ledger)
        self._forget()
        self.ledger.when_forked.append(self._forget)

    def _forget(self) -> None:
        self._llm: dict[tuple[str, str], LLMRows] = {}
        self._tools: dict[tuple[str, str], ToolRows] = {}
        self._tasks: dict[tuple[str, str], TaskRows] = {}
        self.paths = Paths(self.ledger)
        self._good_ids = ("", "")

    def task_started(self, agent: str, agent_type: str) -> TaskRows | None:
        """Count a task as running; its ``Task`` span ends that. Makes the agent's series at 0 when it is new."""
        try:
            ledger = self.ledger
            if get_ident() in ledger.inside:
                # One queue with its end, which would else find nothing running and leave the gauge one too high.
                ledger.later(self.task_seen, agent, agent_type)
            else:
                ledger.apply(self.task_seen, agent, agent_type)
            return self._tasks.get((agent, agent_type))
        except Exception as error:  # noqa: BLE001 -- the host never pays for our mistakes
            self.guard.failed("task", error)
            return None

    def llm_rows(self, agent: str, model: str) -> LLMRows | None:
        """Return the rows of an agent's model; None while no request to this model has been answered."""
        try:
            rows = self._llm.get((agent, model))
            if rows is None and self.ledger.folding.is_admitted("model", model):
                self.ledger.apply(self._llm_rows, agent, model)
                rows = self._llm.get((agent, model))
        except Exception as error:  # noqa: BLE001 -- the host never pays for our mistakes
            self.guard.failed("llm", error)
            return None
        return rows

    def tool_rows(self, agent: str, tool_name: str) -> ToolRows | None:
        """Return the rows of an agent's tool, made at 0 when it is new."""
        try:
            rows = self._tools.get((agent, tool_name))
            if rows is None:
                self.ledger.apply(self._tool_rows, agent, tool_name)
                rows = self._tools.get((agent, tool_name))
        except Exception as error:  # noqa: BLE001 -- the host never pays for our mistakes
            self.guard.failed("tool", error)
            return None
        return rows

    # -- at its end ---------------------------------------------------------------------------------------------

    def record(self, span: Span) -> None:
        """Count finished work; a task counted so must have been counted as running by ``task_started``."""
        if isinstance(span, LLMCall):
            self.record_llm(span)
        elif isinstance(span, ToolCall):
            self.record_tool(span)
        else:
            self.record_task(span)

    def record_llm(self, call: LLMCall, rows: LLMRows | None = None) -> None:
        """Count a finished LLM call."""
        try:
            self.ledger.apply(self.commit_llm, call, rows)
        except Exception as error:  # noqa: BLE001 -- the host never pays for our mistakes
            self.guard.failed("llm", error)

    def record_tool(self, call: ToolCall, rows: ToolRows | None = None) -> None:
        """Count a finished tool call."""
        try:
            self.ledger.apply(self.commit_tool, call, rows)
        except Exception as error:  # noqa: BLE001 -- the host never pays for our mistakes
            self.guard.failed("tool", error)

    def record_task(
        self,
        task: Task,
        accounts: TaskAccounts | None = None,
        rows: TaskRows | None = None,
        *,
        was_started: bool = True,
    ) -> None:
        """Count a finished task together with its accounts, in one critical section.

        Args:
            task: the span.
            accounts: where its time went; None when unknown.
            rows: what ``task_started`` returned.
            was_started: whether ``task_started`` counted it as running in this process (imported spans were not).
        """
        try:
            self.ledger.apply(self.commit_task, task, accounts or NO_ACCOUNTS, rows, was_started)
        except Exception as error:  # noqa: BLE001 -- the host never pays for our mistakes
            self.guard.failed("task", error)

    def llm_seen(self, agent: str, model: str) -> LLMRows | None:
        """Return the rows of an agent's model like ``llm_rows``; only inside a commit of the ledger."""
        rows = self._llm.get((agent, model))
        if rows is None and self.ledger.folding.is_admitted("model", model):
            rows = self._llm_rows(agent, model)
        return rows

    def task_seen(self, agent: str, agent_type: str) -> TaskRows:
        """Count a task as running like ``task_started``; only inside a commit of the ledger."""
        rows = self._tasks.get((agent, agent_type)) or self._task_rows(agent, agent_type)
        self.ledger.values[rows.active] += 1
        return rows

    def add(self, name: str, labels: tuple[str, ...], amount: int) -> None:
        """Add to a counter or gauge of METRICS by name, in ledger integers (nanoseconds, tokens, counts)."""
        try:
            self.ledger.add(name, labels, amount)
        except Exception as error:  # noqa: BLE001 -- the host never pays for our mistakes
            self.guard.failed("add", error)

    # -- commits: under the ledger's lock --------------------------------------------------------------------------

    def commit_llm(self, call: LLMCall, rows: LLMRows | None) -> None:
        """Count a finished LLM call; only inside a commit of the ledger."""
        if rows is None:
            rows = self._llm_rows_of(call)
        elif rows.epoch != self.ledger.epoch:
            return  # started before a fork: the parent counts it
        values = self.ledger.values
        values[rows.statuses[CALL_STATUS_INDEX.get(call.status, ERROR_INDEX)]] += 1
        duration_ns = elapsed_ns(call.start_ns, call.end_ns)
        if duration_ns is None:
            self._refused("llm_duration", call.start_ns, call.end_ns)
        else:
            bucket = rows.latency + 1 + bisect_left(rows.latency_bounds, duration_ns)
            values[bucket] += 1
            values[rows.latency] += duration_ns
            if call.task_id or call.trace_id:
                self._keep_exemplar(bucket, duration_ns, call)
            if call.phases is not None:
                self._add_phases(call.phases, duration_ns, rows)
        if call.usage is not None:
            self._add_usage(call.usage, rows)
        if call.first_token_ns is not None:
            self._observe_first_token(call, duration_ns, rows)
        if call.per_token_ns is not None:
            self._observe("llm_per_token", rows.per_token, rows.per_token_bounds, call.per_token_ns)
        if call.status != "success":
            self._count_failure(rows.agent, "llm", call)
        if call.truncation:
            values[rows.truncations[0 if call.truncation == "context" else 1]] += 1
        if call.n_tool_calls:
            self._add_amount("llm_tool_calls", rows.requested, call.n_tool_calls)
        if call.attempts_ok or call.attempts_retried or call.attempts_failed:
            self._add_attempts(call, rows)

    def _observe_first_token(self, call: LLMCall, duration_ns: int | None, rows: LLMRows) -> None:
        first_ns = self._observe("llm_first_token", rows.to_first, rows.to_first_bounds, call.first_token_ns)
        if call.per_token_ns is not None or first_ns is None or duration_ns is None or call.usage is None:
            return
        completion = whole(call.usage.completion)
        if completion:
            rest_ns = duration_ns - first_ns
            if completion > 1 and rest_ns >= 0:
                per_token_ns = rest_ns // (completion - 1)
                self._observe("llm_per_token", rows.per_token, rows.per_token_bounds, per_token_ns)

    def _observe(self, where: str, slot: int, bounds: tuple[int, ...], amount: object) -> int | None:
        number = amount if type(amount) is int and 0 <= amount <= MAX_AMOUNT else whole(amount)
        if number is None:
            self._refused(where, amount)
            return None
        values = self.ledger.values
        values[slot + 1 + bisect_left(bounds, number)] += 1
        values[slot] += number
        return number

    def _add_usage(self, usage: TokenUsage, rows: LLMRows) -> None:
        values, tokens = self.ledger.values, rows.tokens
        prompt, completion, cached, cache_write, reasoning = usage
        if type(prompt) is int and 0 <= prompt <= MAX_AMOUNT:
            values[tokens[0]] += prompt
        elif prompt is not None:
            self._add_amount("llm_tokens", tokens[0], prompt)
        if type(completion) is int and 0 <= completion <= MAX_AMOUNT:
            values[tokens[1]] += completion
        elif completion is not None:
            self._add_amount("llm_tokens", tokens[1], completion)
        if cached is not None or cache_write is not None or reasoning is not None:
            slots = rows.subsets or rows.make_subsets(self.ledger)
            for slot, part in zip(slots, (cached, cache_write, reasoning), strict=True):
                if part is not None:
                    self._add_amount("llm_tokens", slot, part)

    def _add_phases(self, phases: Phases, duration_ns: int, rows: LLMRows) -> None:
        """Add phases that sum to the call; what they leave of it is ``network``."""
        client_wait_ns, queue_ns, load_ns, prefill_ns, decode_ns, _ = phases
        try:
            signs = client_wait_ns | queue_ns | load_ns | prefill_ns | decode_ns  # below 0 if one of them is
        except TypeError:
            self._add_phases_of_fractions(phases, duration_ns, rows)
            return
        known_ns = client_wait_ns + queue_ns + load_ns + prefill_ns + decode_ns
        if signs < 0 or known_ns > duration_ns:
            self._refused("llm_phases", phases)
            return
        values = self.ledger.values
        client_wait, queue, load, prefill, decode, network = rows.phases or rows.make_phases(self.ledger)
        values[client_wait] += client_wait_ns
        values[queue] += queue_ns
        values[load] += load_ns
        values[prefill] += prefill_ns
        values[decode] += decode_ns
        values[network] += duration_ns - known_ns

    def _add_phases_of_fractions(self, phases: Phases, duration_ns: int, rows: LLMRows) -> None:
        """Add phases that someone did not measure in whole nanoseconds."""
        parts = [whole(part) for part in phases[:5]]
        if None in parts:
            self._refused("llm_phases", phases)
        else:
            self._add_phases(Phases(*[part or 0 for part in parts]), duration_ns, rows)

    def _add_attempts(self, call: LLMCall, rows: LLMRows) -> None:
        attempts = (call.attempts_ok, call.attempts_retried, call.attempts_failed)
        if attempts == ONE_ATTEMPT and rows.attempts is not None:
            self.ledger.values[rows.attempts[0]] += 1
            return
        for slot, n_attempts in zip(rows.attempts or rows.make_attempts(self.ledger), attempts, strict=True):
            self._add_amount("llm_attempts", slot, n_attempts)

    def _add_amount(self, where: str, slot: int, amount: object) -> None:
        number = whole(amount)
        if number is None:
            self._refused(where, amount)
        else:
            self.ledger.values[slot] += number

    def commit_tool(self, call: ToolCall, rows: ToolRows | None) -> None:
        """Count a finished tool call; only inside a commit of the ledger."""
        if rows is None:
            rows = self._tool_rows(call.agent, call.tool_name)
        elif rows.epoch != self.ledger.epoch:
            return  # started before a fork: the parent counts it
        values = self.ledger.values
        values[rows.statuses[CALL_STATUS_INDEX.get(call.status, ERROR_INDEX)]] += 1
        self._observe_duration("tool_duration", rows.latency, rows.latency_bounds, call)
        if call.status != "success":
            self._count_failure(rows.agent, "tool", call)

    def _observe_duration(self, where: str, slot: int, bounds: tuple[int, ...], span: ToolCall | Task) -> int | None:
        duration_ns = elapsed_ns(span.start_ns, span.end_ns)
        if duration_ns is None:
            self._refused(where, span.start_ns, span.end_ns)
            return None
        values = self.ledger.values
        bucket = slot + 1 + bisect_left(bounds, duration_ns)
        values[bucket] += 1
        values[slot] += duration_ns
        if span.task_id or span.trace_id:
            self._keep_exemplar(bucket, duration_ns, span)
        return duration_ns

    def commit_task(self, task: Task, accounts: TaskAccounts, rows: TaskRows | None, was_started: bool) -> None:
        """Count a finished task; only inside a commit of the ledger, where ``record_task`` would put it off."""
        if rows is None:
            rows = self._task_rows(task.agent, task.agent_type)
        elif rows.epoch != self.ledger.epoch:
            return  # started before a fork: the parent counts it
        values = self.ledger.values
        if was_started and values[rows.active] > 0:
            values[rows.active] -= 1
        values[rows.statuses[TASK_STATUS_INDEX.get(task.status, FAILURE_INDEX)]] += 1
        duration_ns = self._observe_duration("task_duration", rows.duration, rows.duration_bounds, task)
        self._observe("task_calls", rows.llm_calls, rows.llm_calls_bounds, task.n_llm_calls)
        self._observe("task_calls", rows.tool_calls, rows.tool_calls_bounds, task.n_tool_calls)
        if task.status != "success":
            self._count_failure(rows.agent, "task", task)
        if accounts is not NO_ACCOUNTS:
            self._add_accounts(task, accounts, duration_ns, rows)

    def _add_accounts(self, task: Task, accounts: TaskAccounts, duration_ns: int | None, rows: TaskRows) -> None:
        agent = rows.agent
        if accounts.parts and duration_ns is not None:
            self.ledger.values[rows.root_seconds] += duration_ns
            rows.path_error_ns += self._add_parts(agent, accounts.parts, SLO_SIDES.index(accounts.slo)) - duration_ns
            if rows.path_error_ns:
                self._report_path_error()
        for (component, name), n_calls in accounts.repeated.items():
            self._add_named("agent_repeated_calls_total", (agent, component, name), n_calls)
        for (model, token_type, fate), n_tokens in accounts.fates.items():
            self._add_named("agent_token_fate_total", (agent, model, token_type, fate), n_tokens)
        for reason in accounts.doubts:
            self._add_named("agent_task_doubts_total", (agent, reason), 1)
        if accounts.detached_ns:
            self._add_named("agent_detached_seconds_total", (agent,), accounts.detached_ns)

    def _add_parts(self, agent: str, parts: Mapping[PathKey, PathPart], side: int) -> int:
        """Add what each component has of a root task, and return the nanoseconds on the path."""
        values, known, path_ns = self.ledger.values, self.paths.of(agent), 0
        for key, (n_calls, part_ns, solo_ns) in parts.items():
            rows = known.get(key) or self.paths.rows(agent, key)
            path_ns += part_ns
            values[rows.seconds[side]] += part_ns
            values[rows.solo] += solo_ns
            if n_calls:
                values[rows.calls[side]] += n_calls
        return path_ns

    def _add_named(self, name: str, labels: tuple[str, ...], amount: int) -> None:
        self._add_amount("accounts", self.ledger.slot(name, labels), amount)

    def _report_path_error(self) -> None:
        self.ledger.accounting_error_ns = max(abs(rows.path_error_ns) for rows in self._tasks.values())

    def _count_failure(self, agent: str, component: str, span: LLMCall | ToolCall | Task) -> None:
        """Count a failure by its type; a cancelled span, whatever cancelled it, is nobody's failure."""
        if span.status != "cancelled":
            self.ledger.values_add("agent_errors_total", (agent, component, span.error_type or span.status), 1)

    def _keep_exemplar(self, bucket: int, value: int, span: LLMCall | ToolCall | Task) -> None:
        """Keep an observation with its ids; one that OpenMetrics does not allow is left out, never cut."""
        task_id, trace_id = span.task_id, span.trace_id
        if (task_id, trace_id) != self._good_ids:
            if not (_is_id(task_id) and _is_id(trace_id) and len(task_id) + len(trace_id) <= MAX_ID_CHARACTERS):
                return
            self._good_ids = (task_id, trace_id)  # a task's calls follow each other
        self.ledger.observed[bucket] = (task_id, trace_id, value, span.end_ns)

    def _refused(self, where: str, *facts: object) -> None:
        self.guard.refused(where, f"cannot be counted: {facts!r}")

    # -- rows: under the ledger's lock -----------------------------------------------------------------------------

    def _llm_rows_of(self, call: LLMCall) -> LLMRows:
        """Return the rows of a call; a request for a model that does not exist does not make its name known."""
        folding = self.ledger.folding
        answered = call.status != "error" or call.first_token_ns is not None or call.usage is not None
        answered = answered or not _is_not_found(call.error_type)
        if answered or not call.model or call.model == OTHER or folding.is_admitted("model", call.model):
            return self._llm_rows(call.agent, call.model)
        self.ledger.count_fold("agent_llm_calls_total", "model")
        return self._llm_rows(call.agent, OTHER)

    def _llm_rows(self, agent: str, model: str) -> LLMRows:
        admit = self.ledger.folding.admit
        pair = (admit("agent_llm_calls_total", "agent", agent), admit("agent_llm_calls_total", "model", model))
        rows = self._llm.get(pair)
        if rows is None and not self.ledger.has_room(ROOM):
            self.ledger.count_fold("agent_llm_calls_total", "series")
            pair = (OTHER, OTHER)
            rows = self._llm.get(pair)
        if rows is None:
            rows = self._llm[pair] = LLMRows(self.ledger, *pair)
        return rows

    def _tool_rows(self, agent: str, tool_name: str) -> ToolRows:
        admit = self.ledger.folding.admit
        pair = (
            admit("agent_tool_calls_total", "agent", agent),
            admit("agent_tool_calls_total", "tool_name", tool_name),
        )
        rows = self._tools.get(pair)
        if rows is None and not self.ledger.has_room(ROOM):
            self.ledger.count_fold("agent_tool_calls_total", "series")
            pair = (OTHER, OTHER)
            rows = self._tools.get(pair)
        if rows is None:
            rows = self._tools[pair] = ToolRows(self.ledger, *pair)
        return rows

    def _task_rows(self, agent: str, agent_type: str) -> TaskRows:
        admit = self.ledger.folding.admit
        name = admit("agent_tasks_total", "agent", agent)
        pair = (name, admit("agent_active_count", "agent_type", agent_type or name))
        rows = self._tasks.get(pair)
        if rows is None:
            if not self.ledger.has_room(ROOM):
                self.ledger.count_fold("agent_tasks_total", "series")
                pair = (OTHER, OTHER)
            rows = self._tasks.get(pair) or self._tasks.setdefault(pair, TaskRows(self.ledger, *pair))
            self.paths.rows(rows.agent, ("own", ""))
        return rows


def _is_not_found(error_type: object) -> bool:
    """Tell the errors that say a model does not exist: ``model_not_found``, ``NotFoundError``, ``http_404``."""
    words = str(error_type).replace("_", "").lower()
    return "notfound" in words or words.endswith("404")


def _is_id(text: object) -> bool:
    """Tell whether a text can stand in an exemplar as it is: some parsers trip over an escape there."""
    if not isinstance(text, str) or not text.isascii():
        return False
    return text.isalnum() or not text or (text.isprintable() and '"' not in text and "\\" not in text)
