"""The reference of the public Python names, from their signatures and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, get_overloads

from pages.page import page

import agentgauge
from agentgauge import errors, testing
from agentgauge.database import Database

_PYTHON_HEAD = """
```python
import agentgauge as ag
```

Recording needs `prometheus-client` and Python 3.10; `agentgauge.database` needs `pip install 'agentgauge[server]'` and
Python 3.11. `task`, `llm_call`, `tool_call` and `wait` return the same kind of thing: a block (`with`, `async with`), a
decorator (functions, coroutines, generators, async generators), or, with `.start()`, an operation that you end with
`.finish()` or `.fail(error)`. None of them ever raises into your code.
""".strip().splitlines()


_EXAMPLES = {
    "LLMOperation": """with ag.llm_call(model="my-model") as call:
    for part in stream:  # of a client that has no hook
        call.first_token()
    call.usage(prompt=412, completion=96)""",
    "TaskOperation": """with ag.task(agent="researcher") as task:
    print(task.task_id)""",
    "ToolOperation": """call = ag.tool_call("render").start()
try:
    render()
    call.finish()
except Exception as error:
    call.fail(error)
    raise""",
    "WaitOperation": """waiting = ag.wait("approval").start()
approved.wait()
waiting.finish()""",
}
"""Of classes that are not made by hand: where they come from, and what for."""


def python_page() -> str:
    """Return the reference of the public Python names as Markdown."""
    names = sorted(agentgauge.__all__, key=lambda name: (inspect.isclass(getattr(agentgauge, name)), name))
    lines = [
        line for name in names if name != "__version__" for line in _object(f"ag.{name}", getattr(agentgauge, name))
    ]
    return page(
        "Python API",
        *_PYTHON_HEAD,
        "",
        *lines,
        "## ag.\\_\\_version\\_\\_",
        "",
        "The version of agentgauge, a `str`.",
        "",
        *_module(testing, testing.__all__),
        *_object("agentgauge.database.Database", Database),
        "## agentgauge.errors",
        "",
        *_fenced("text", inspect.getdoc(errors) or ""),
    )


def _module(module: ModuleType, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield from _object(f"{module.__name__}.{name}", getattr(module, name))


def _object(name: str, found: Any, level: int = 2) -> Iterator[str]:
    yield from (f"{'#' * level} {name}", "")
    if not inspect.isclass(found):
        forms = get_overloads(found)[-1:] or [found]
        yield from _fenced("text", "\n".join(f"{name.rpartition('.')[2]}{_signature(form)}" for form in forms))
    yield from _docstring(inspect.getdoc(found) or "")
    if inspect.isclass(found):
        if found.__name__ in _EXAMPLES:
            yield from _fenced("python", _EXAMPLES[found.__name__])
        for method, member in _methods(found):
            yield f"- `{method}{_signature(member)}`: {(inspect.getdoc(member) or '').partition(chr(10))[0]}"
        yield ""


def _methods(found: type) -> Iterator[tuple[str, Any]]:
    for name, member in vars(found).items():
        plain = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        if not name.startswith("_") and inspect.isfunction(plain):
            yield name, plain


def _signature(found: Any) -> str:
    signature = inspect.signature(found)
    shown = [_parameter(p) for p in signature.parameters.values() if p.name not in {"self", "cls"}]
    kinds = [p.kind for p in signature.parameters.values() if p.name not in {"self", "cls"}]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        shown.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    return f"({', '.join(shown)}) -> {_annotation(signature.return_annotation)}"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    shown = f"{stars}{parameter.name}: {_annotation(parameter.annotation)}"
    if parameter.default is inspect.Parameter.empty:
        return shown
    default = parameter.default
    return f"{shown} = {'...' if inspect.isfunction(default) else repr(default)}"


def _annotation(annotation: object) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _docstring(text: str) -> Iterator[str]:
    """Turn a Google-style docstring into Markdown: examples become code, sections lists."""
    head, *sections = re.split(
        r"^(Example|Args|Attributes|Raises|Thread-safety|Absent|Units):+ *", text, flags=re.MULTILINE
    )
    yield from (*head.strip().splitlines(), "")
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        content = inspect.cleandoc("\n" + body) if body.startswith("\n") else body.strip()
        if title == "Example":
            yield from _fenced("pycon" if ">>>" in content else "python", content)
        elif title in {"Args", "Attributes", "Raises"}:
            yield from (f"{title}:", "", *_entries(content), "")
        else:
            yield from (f"{title}: {content}", "")


def _entries(content: str) -> Iterator[str]:
    for entry in re.split(r"\n(?=\S)", content):
        name, _, meaning = " ".join(entry.split()).partition(": ")
        yield f"- `{name}`: {meaning}"


def _fenced(language: str, text: str) -> tuple[str, ...]:
    return (f"```{language}", *text.splitlines(), "```", "")
