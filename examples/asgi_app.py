"""An agent behind a web application: the metrics are a route of the app, rendered off its event loop.

uvicorn --app-dir examples asgi_app:app --port 8080
curl '127.0.0.1:8080/ask?question=why'
agentgauge serve --target 127.0.0.1:8080
"""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

import agentgauge as ag


@ag.tool_call
async def look_up(question: str) -> str:
    await asyncio.sleep(0.01)
    return question.upper()


@ag.task(agent="web-agent")
async def think(question: str) -> str:
    async with ag.llm_call(model="my-model") as call:  # a client that has no hook: one line
        found = await look_up(question)
        call.first_token()
        call.usage(prompt=len(question), completion=len(found))
    return found


async def ask(request: Request) -> JSONResponse:
    return JSONResponse({"answer": await think(request.query_params.get("question", ""))})


app = Starlette(routes=[Route("/ask", ask), Mount("/metrics", ag.metrics_app())])
