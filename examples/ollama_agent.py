"""An agent on the official ollama client, measured without a changed line.

agentgauge simulate ollama --port 11435 --speed 10     # or a real Ollama at 11434
python examples/ollama_agent.py http://127.0.0.1:11435
agentgauge serve                                        # the page, in another terminal
"""

from __future__ import annotations

import sys

import ollama

import agentgauge as ag

MODEL = "llama3.1:8b"
TOOL = {
    "type": "function",
    "function": {
        "name": "population",
        "description": "How many people live in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@ag.tool_call
def population(city: str) -> int:
    return {"Oslo": 717_710, "Bergen": 291_940}.get(city, 0)


@ag.task(agent="geographer")
def answer(client: ollama.Client, question: str, max_turns: int = 4) -> str:
    messages: list[dict[str, object]] = [{"role": "user", "content": question}]
    for _ in range(max_turns):
        said = client.chat(model=MODEL, messages=messages, tools=[TOOL]).message
        if not said.tool_calls:
            return said.content or ""
        messages.append(said.model_dump())
        for call in said.tool_calls:
            found = population(str(call.function.arguments.get("city", "")))
            messages.append({"role": "tool", "tool_name": "population", "content": str(found)})
    return ""


@ag.task(agent="poet")
def recite(client: ollama.Client, subject: str) -> str:
    """Stream: the first word counts when it comes, the call ends when the last one is read."""
    words = []
    for part in client.chat(model=MODEL, messages=[{"role": "user", "content": subject}], stream=True):
        words.append(part.message.content or "")
    return "".join(words)


def main(url: str = "http://127.0.0.1:11434", rounds: int = 3) -> None:
    exposition = ag.start()
    ag.instrument()
    print("metrics:", exposition.url)
    client = ollama.Client(host=url)
    for nth in range(rounds):
        print(nth, answer(client, "How many people live in Oslo?")[:60])
        print(nth, recite(client, "A poem about queues.")[:60])


if __name__ == "__main__":
    main(*sys.argv[1:2])
