"""As much of a W&B server as a run needs: it lets everyone in, and keeps what it is told."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENTITY = {"id": "e", "name": "me"}
PROJECT = {"id": "p", "name": "ganlab", "entity": ENTITY}


class Server:
    """`text` is all that arrived, `rows` the history of each run by its id."""

    def __init__(self) -> None:
        self.text = ""
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.exit_codes: list[int] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that is gone
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _handler(server: Server) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None: ...

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                server.text += body.decode(errors="replace")
                content = json.dumps(server.answer(self.path, body)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST

        return Handler

    def answer(self, path: str, body: bytes) -> dict[str, Any]:
        if path.endswith("file_stream"):
            sent = json.loads(body)
            history = sent.get("files", {}).get("wandb-history.jsonl")
            if history:
                rows = self.rows.setdefault(path.split("/")[-2], [])
                rows[history["offset"] :] = [json.loads(line) for line in history["content"]]
            if sent.get("complete"):
                self.exit_codes.append(sent["exitcode"])
            return {}
        if path != "/graphql":
            return {}
        request = json.loads(body)
        query, given = request["query"], request.get("variables", {})
        data: dict[str, Any] = {}
        if "viewer" in query:
            data["viewer"] = {"id": "u", "entity": "me", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}
        if "RunResumeStatus" in query:
            data["model"] = {**PROJECT, "bucket": self._kept(given["name"])}
        if "upsertBucket" in query:
            bucket = {"id": "b", "name": given["name"], "displayName": "", "description": "", "config": "{}", "sweepName": None}
            data["upsertBucket"] = {"bucket": {**bucket, "project": PROJECT, "historyLineCount": None}, "inserted": True}
        if "createRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.url}/file"} for name in given["files"]]
            data["createRunFiles"] = {"runID": "b", "uploadHeaders": [], "files": files}
        return {"data": data}

    def _kept(self, name: str) -> dict[str, Any] | None:
        """What a run that goes on has to know of itself."""
        if (rows := self.rows.get(name)) is None:
            return None
        texts = {"summaryMetrics": "{}", "config": "{}", "eventsTail": "[]", "historyTail": json.dumps([json.dumps(rows[-1])])}
        counts = {"logLineCount": 0, "historyLineCount": len(rows), "eventsLineCount": 0}
        return {"id": "b", "name": name, "displayName": "", "tags": [], "notes": "", "wandbConfig": "{}", **texts, **counts}
