"""A model server of prebuilt bytes: CPU is measured, not waiting. Prints its port; also swallows telemetry posts."""

from __future__ import annotations

import asyncio

TOKEN = (
    b'{"model":"m","created_at":"2026-11-23T22:56:45.616208078Z","message":{"role":"assistant","content":" hi"},'
    b'"done":false}\n'
)
FINAL = (
    b'{"model":"m","created_at":"2026-11-23T22:56:45.655202535Z","message":{"role":"assistant","content":"%s"},'
    b'"done":true,"done_reason":"stop","total_duration":349488286,"load_duration":768861,"prompt_eval_count":27,'
    b'"prompt_eval_duration":39804000,"eval_count":200,"eval_duration":38759000}'
)
N_CHUNKS = 200


def chunk(data: bytes) -> bytes:
    """Frame one chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


ONCE_BODY = FINAL % b"hello there, this is an answer of some length"
ONCE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ONCE_BODY) + ONCE_BODY
STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    + chunk(TOKEN) * N_CHUNKS
    + chunk(FINAL % b"" + b"\n")
    + b"0\r\n\r\n"
)
SINK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests on one connection until it closes."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
            )
            body = await reader.readexactly(length)
            wants_stream = b'"stream":true' in body.replace(b" ", b"")
            reply = SINK if b"/api/chat" not in head else STREAM if wants_stream else ONCE
            writer.write(reply)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Serve on a free port until killed."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
