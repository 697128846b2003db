"""The demo's crew: four agents and a sub-agent, each with a trait that shows on the page.

``researcher`` streams, uses tools side by side and hands work to the sub-agent ``summarizer``; ``analyst`` is quick
and mostly right; ``scout`` depends on a web site that is slow and fails; ``ponderer`` asks the same thing again and
again before it answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from agentgauge.demo.corpus import passages
from agentgauge.demo.loop import Desk, Persona, noted, run_sync
from agentgauge.demo.tools import Embed, Retrieval, Tool, calculator, fetch_tool, orders_tool
from agentgauge.record.api import task

EMBEDDING_MODEL = "nomic-embed-text"


@dataclass(frozen=True, slots=True)
class Member:
    """An agent of the crew, how it runs, and the questions it is asked in turn."""

    persona: Persona
    style: Literal["thread", "asyncio"]
    questions: Sequence[str]


def crew(desk: Desk, site_url: str, embedding_model: str = EMBEDDING_MODEL, patience_s: float = 1.5) -> list[Member]:
    """Return the crew, at work at this desk; ``patience_s`` is how long they wait for a page of the site."""
    fetch_page = fetch_tool(site_url, patience_s)

    def search_docs(agent: str) -> Tool:
        return Retrieval(passages(), _embedder(desk, embedding_model, agent)).tool()

    tools = {"search_docs": search_docs("researcher"), "fetch_page": fetch_page, "summarize": _summarizer(desk)}
    researcher = Persona("researcher", "You research: search, read, have it summarized, answer.", tools, stream=True)
    analyst = Persona(
        "analyst",
        "You analyse orders: query them, then calculate, then answer.",
        {"query_orders": orders_tool(), "calculator": calculator},
    )
    scout = Persona("scout", "You read pages of the site and report.", {"fetch_page": fetch_page}, stream=True)
    ponderer = Persona(
        "ponderer",
        "You search, search the same again, search the same again, search the same again to be sure, then answer.",
        {"search_docs": search_docs("ponderer")},
        n_turns_max=9,
    )
    return [
        Member(researcher, "asyncio", RESEARCH),
        Member(analyst, "thread", ANALYSES),
        Member(scout, "asyncio", ERRANDS),
        Member(ponderer, "thread", WORRIES),
    ]


def _summarizer(desk: Desk) -> Callable[..., str]:
    persona = Persona("summarizer", "You summarize in two sentences.", {})

    def summarize(text: str) -> str:
        """Have a text summarized by a colleague.

        Args:
            text: what to summarize

        Returns:
            str: the summary
        """
        with noted(desk.diary, "task", persona.name, ""), task(agent=persona.name):
            return run_sync(persona, desk, f"Summarize: {text}")

    return summarize


def _embedder(desk: Desk, model: str, agent: str) -> Embed:
    def embed(texts: Sequence[str]) -> Sequence[Sequence[float]]:
        with noted(desk.diary, "llm", agent, model) as note:
            answer = desk.client.embed(model, texts)
            note.n_prompt = answer.prompt_eval_count or 0
            return answer.embeddings

    return embed


RESEARCH = (
    "How does the store keep what was acknowledged when a process dies?",
    "What is a span, and what becomes of it?",
    "How are label values kept bounded?",
    "What does the engine do with a series that went stale?",
    "Which prices does the site quote, and what do the docs say of limits?",
)
ANALYSES = (
    "How much did customers in AT spend in all?",
    "What is the average order of product team?",
    "Which country has the most orders of enterprise?",
    "What is the mean amount of an order in JP?",
)
ERRANDS = (
    "Read /prices and report.",
    "Read /status and report.",
    "Read /docs/limits and report.",
    "Read /changelog and report.",
)
WORRIES = (
    "Is the number of series limited?",
    "Can a monitor slow the agent down?",
    "Does a scrape ever disagree with itself?",
)
