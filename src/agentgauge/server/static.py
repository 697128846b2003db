"""The built page's files, and what stands in their place when the page was never built.

Hashed files are served ``immutable``, ``index.html`` ``no-cache``, compressed copies made by the build when the browser
takes them. Every answer carries a Content-Security-Policy that lets the page load nothing from elsewhere and send
nothing elsewhere.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

STATIC_DIR = Path(__file__).parent.parent / "view" / "static"

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))

NOT_BUILT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>agentgauge: page not built</title></head>
<body><main><h1>The page is not built yet</h1>
<p>This is a checkout whose web page was never built. Build it (Node 20.19 or newer), then reload:</p>
<pre><code>./dev build</code></pre>
<p>or, by hand:</p>
<pre><code>cd web
npm ci --ignore-scripts
npm run build</code></pre>
<p>The HTTP API answers already: <a href="api/v1/query?query=up">api/v1/query?query=up</a>.</p>
</main></body></html>
"""


def static_routes(static_dir: Path = STATIC_DIR) -> list[Route]:
    """Return the routes of the page's files."""

    async def index(request: Request) -> Response:
        if not (static_dir / "index.html").is_file():
            return HTMLResponse(NOT_BUILT, headers={**SECURITY_HEADERS, "Cache-Control": "no-store"})
        return _file(request, static_dir / "index.html", "no-cache")

    async def asset(request: Request) -> Response:
        root = (static_dir / "static").resolve()
        path = (root / request.path_params["path"]).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            return PlainTextResponse("no such file", 404, headers=SECURITY_HEADERS)
        return _file(request, path, "public, max-age=31536000, immutable")

    async def licenses(request: Request) -> Response:
        path = static_dir / "licenses.md"
        return _file(request, path, "no-cache") if path.is_file() else PlainTextResponse("not built", 404)

    return [Route("/", index), Route("/licenses.md", licenses), Route("/static/{path:path}", asset)]


def _file(request: Request, path: Path, cache: str) -> Response:
    """Answer with a file, or with the copy that was compressed when it was built."""
    media_type = mimetypes.guess_type(path.name)[0] or "text/plain"
    headers = {**SECURITY_HEADERS, "Cache-Control": cache, "Vary": "Accept-Encoding"}
    accepted = {item.partition(";")[0].strip() for item in request.headers.get("accept-encoding", "").split(",")}
    for encoding, suffix in _ENCODINGS:
        compressed = path.with_name(path.name + suffix)
        if encoding in accepted and compressed.is_file():
            return FileResponse(compressed, media_type=media_type, headers={**headers, "Content-Encoding": encoding})
    return FileResponse(path, media_type=media_type, headers=headers)
