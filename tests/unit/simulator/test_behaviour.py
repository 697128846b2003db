"""The unscripted model: it takes the system prompt's plan at its word and fills in arguments that fit."""

from __future__ import annotations

from typing import Any

from agentgauge.simulator.answer import Reply, ToolCall
from agentgauge.simulator.behaviour import Turn, converse


def tool(name: str, description: str = "", **properties: str) -> dict[str, Any]:
    """Return a tool with string parameters; their descriptions are given."""
    parts = {key: {"type": "string", "description": about} for key, about in properties.items()}
    parameters = {"type": "object", "properties": parts, "required": list(parts)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


SEARCH = tool("search_docs", "Search the documentation.", query="what to look for")
FETCH = tool("fetch_page", "Fetch a page.", path="one of /prices /status")
SUMMARIZE = tool("summarize", "Have a text summarized.", text="what")
ORDERS = tool("query_orders", "Run SQL on the table orders(id, country, product, amount).", sql="one SELECT")
CALCULATE = tool("calculator", "Work out an expression.", expression="numbers")


def talk(system: str, question: str, tools: list[dict[str, Any]], result: str = "AT, 1200.5, 7") -> list[Reply]:
    """Play a loop until the model answers in words."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    replies = []
    for _ in range(9):
        reply = converse(Turn("m", messages, tools))
        replies.append(reply)
        if not reply.tool_calls:
            break
        calls = [{"function": {"name": call.name, "arguments": call.arguments}} for call in reply.tool_calls]
        messages.append({"role": "assistant", "content": "", "tool_calls": calls})
        messages += [{"role": "tool", "tool_name": call.name, "content": result} for call in reply.tool_calls]
    return replies


def names(replies: list[Reply]) -> list[list[str]]:
    """Return the tools called, turn by turn."""
    return [[call.name for call in reply.tool_calls] for reply in replies]


def test_plan_of_three_begins_side_by_side() -> None:
    """Of three steps the first two are called in one turn; then the third; then words."""
    replies = talk(
        "You research: search, read, have it summarized, answer.", "What is kept?", [SEARCH, FETCH, SUMMARIZE]
    )
    assert names(replies) == [["search_docs", "fetch_page"], ["summarize"], []]


def test_again_repeats() -> None:
    """``search again`` searches twice, with other words."""
    replies = talk("You search, and search again to be sure, then answer.", "Is it limited?", [SEARCH])
    assert names(replies) == [["search_docs"], ["search_docs"], []]
    assert replies[0].tool_calls != replies[1].tool_calls


def test_sql_and_arithmetic() -> None:
    """SQL names the described table and the asked country; arithmetic uses the result's numbers."""
    replies = talk("You query orders, then calculate.", "How much did AT spend?", [ORDERS, CALCULATE])
    sql = replies[0].tool_calls[0].arguments["sql"]
    assert sql.startswith("SELECT")
    assert "FROM orders WHERE country = 'AT'" in sql
    assert replies[1].tool_calls == (ToolCall("calculator", {"expression": "1200.5 + 7"}),)


def test_no_plan_takes_the_fitting_tool_once() -> None:
    """Without a plan in the system prompt one fitting tool is used, then the answer quotes it."""
    replies = talk("", "fetch the page /status", [SEARCH, FETCH])
    assert replies[0].tool_calls == (ToolCall("fetch_page", {"path": "/status"}),)
    assert "AT, 1200.5, 7" in replies[-1].content


def test_bad_arguments_on_demand() -> None:
    """The fault gives arguments that fit no tool."""
    turn = Turn("m", [{"role": "user", "content": "fetch /status"}], [FETCH], bad_arguments=True)
    assert converse(turn).tool_calls == (ToolCall("fetch_page", {"path": "¿?"}),)


def test_the_same_again_is_the_same() -> None:
    """``search the same again`` searches with the words of the first time."""
    replies = talk("You search, search the same again, then answer.", "Is it limited?", [SEARCH])
    assert names(replies) == [["search_docs"], ["search_docs"], []]
    assert replies[0].tool_calls == replies[1].tool_calls
