"""The agents' tools: each does real work and fails in the ways real tools fail.

Plain functions with docstrings: the ``ollama`` client turns them into the JSON schemas that it sends to the model.
"""

from __future__ import annotations

import ast
import math
import operator
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence

from agentgauge.demo.corpus import Passage

Tool = Callable[..., str]
Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]

_OPERATORS: dict[type, Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
}


def calculator(expression: str) -> str:
    """Work out an arithmetic expression.

    Args:
        expression: numbers, + - * / % and parentheses, for example "12 * (3 + 4)"

    Returns:
        str: the result
    """
    return f"{_evaluate(ast.parse(expression, mode='eval').body):g}"


def _evaluate(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_evaluate(left), _evaluate(right))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_evaluate(operand))
    raise ValueError(f"not arithmetic: {ast.unparse(node)!r}; use numbers, + - * / % and parentheses")


def orders_tool(n_orders: int = 2_000) -> Tool:
    """Return a tool that answers SQL over a table of made-up orders, held in memory, read-only."""
    database = sqlite3.connect(":memory:", check_same_thread=False)
    database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, country TEXT, product TEXT, amount REAL)")
    countries, products = ("AT", "DE", "FR", "IT", "JP", "US"), ("basic", "team", "enterprise")
    rows = ((i, countries[i * 7 % 6], products[i * 5 % 3], 5 + i * 37 % 400) for i in range(n_orders))
    database.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)
    database.execute("PRAGMA query_only = ON")

    def query_orders(sql: str) -> str:
        """Run a SQL query on the table orders(id, country, product, amount).

        Args:
            sql: one SELECT statement

        Returns:
            str: up to ten rows, one a line
        """
        return "\n".join(", ".join(map(str, row)) for row in database.execute(sql).fetchmany(10))

    return query_orders


def fetch_tool(base_url: str, patience_s: float = 1.5) -> Tool:
    """Return a tool that reads pages of one site; impatient, as a tool in an agent should be."""

    def fetch_page(path: str) -> str:
        """Fetch a page of the company's web site.

        Args:
            path: the page, one of /prices /status /docs/limits /changelog

        Returns:
            str: the page's text
        """
        try:
            with urllib.request.urlopen(f"{base_url}{path}", timeout=patience_s) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            error.close()
            raise
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise TimeoutError(f"no answer from {path} in {patience_s:g} s") from error
            raise

    return fetch_page


class Retrieval:
    """Passages by likeness to a question: embeddings compared by their angle."""

    def __init__(self, passages: Sequence[Passage], embed: Embed) -> None:
        self._passages = passages
        self._embed = embed
        self._vectors: list[Sequence[float]] | None = None

    def search(self, question: str, n_best: int = 3) -> list[Passage]:
        """Return the passages nearest to the question; embeds all of them at the first call."""
        if self._vectors is None:
            self._vectors = [_unit(vector) for vector in self._embed([p.text[:400] for p in self._passages])]
        wanted = _unit(self._embed([question])[0])
        scores = [sum(map(operator.mul, wanted, vector)) for vector in self._vectors]
        best = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[:n_best]
        return [self._passages[i] for i in best]

    def tool(self) -> Tool:
        """Return the search as a tool."""

        def search_docs(query: str) -> str:
            """Search the project's documentation.

            Args:
                query: what to look for, in a few words

            Returns:
                str: the passages that fit best
            """
            return "\n".join(f"{passage.source}: {passage.text[:300]}" for passage in self.search(query))

        return search_docs


def _unit(vector: Sequence[float]) -> list[float]:
    length = math.sqrt(math.fsum(x * x for x in vector)) or 1.0
    return [x / length for x in vector]
