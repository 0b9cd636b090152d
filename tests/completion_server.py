"""A real OpenAI-compatible server in the standard library: the transformers engine answers, faults can be put in front.

Endpoints: GET /v1/models, POST /v1/completions, POST /v1/chat/completions. `faults` is called with the number of the
request and may return (status, headers, body) to send instead of an answer, or "drop" to cut the connection.
"""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from caco_recipes.generation import Request, SamplingParams
from caco_recipes.generation.inbox import Inbox


class CompletionServer:
    """Serves an engine on a loopback port until `stop`; `requests` holds the bodies of all POSTs, faulted ones too."""

    def __init__(
        self, engine: Any, port: int = 0, model: str = "nano", faults: Callable[[int], Any] | None = None
    ) -> None:
        self.engine = engine
        self.model = model
        self.faults = faults
        self.requests: list[dict] = []
        self.answered = 0
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._inbox = Inbox()
        self._waiting: dict[int, tuple[threading.Event, list]] = {}
        self._pump = threading.Thread(target=self._run, daemon=True)
        self._pump.start()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._http = _Server(("127.0.0.1", port), handler)
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """As if killed: the port is closed, and every connection is cut."""
        self._http.shutdown()
        self._http.server_close()
        self._http.cut()
        self._inbox.close()

    def _run(self) -> None:
        for number, completion in self.engine.generate(self._inbox):
            event, box = self._waiting.pop(number)
            box.append(completion)
            event.set()

    def complete(self, body: dict, chat: bool) -> tuple[Any, int]:
        with self._lock:
            number = len(self.requests)
            self.requests.append(body)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            fault = self.faults(number) if self.faults else None
            if fault is not None:
                return fault, number
            prompt = self.engine.render(body["messages"]) if chat else body["prompt"]
            sampling = SamplingParams(
                temperature=body.get("temperature", 1.0),
                top_p=body.get("top_p", 1.0),
                max_tokens=body.get("max_tokens", 16),
                stop=tuple(body.get("stop", ())),
                seed=body.get("seed", 0),
                logprobs=bool(body.get("logprobs")),
            )
            event, box = threading.Event(), []
            with self._lock:
                self._waiting[number] = (event, box)
                self._inbox.put([(number, Request(prompt, sampling))])
            event.wait()
            with self._lock:
                self.answered += 1
            return box[0], number
        finally:
            with self._lock:
                self._at_once -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, *arguments: Any) -> None:
        self.connections: set = set()
        super().__init__(*arguments)

    def process_request(self, request, client_address):
        self.connections.add(request)
        super().process_request(request, client_address)

    def cut(self) -> None:
        import socket

        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: CompletionServer

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._send(200, {"object": "list", "data": [{"id": self.owner.model, "owned_by": "tests"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if body.get("model") != self.owner.model:
            return self._send(404, {"error": {"message": f"The model {body.get('model')!r} does not exist."}})
        chat = self.path.endswith("/chat/completions")
        answer, _ = self.owner.complete(body, chat)
        if answer == "drop":
            self.close_connection = True
            return self.connection.close()
        if isinstance(answer, tuple):
            return self._send(*answer)
        usage = {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens}
        first = answer.first_token_logprobs
        if answer.finish_reason == "error":
            return self._send(400, {"error": {"message": answer.error}})
        choice: dict[str, Any] = {"index": 0, "finish_reason": answer.finish_reason}
        if chat:
            top = [{"token": token, "logprob": value} for token, value in first.items()]
            choice |= {"message": {"role": "assistant", "content": answer.text}}
            choice |= {"logprobs": {"content": [{"top_logprobs": top}]} if top else None}
        else:
            choice |= {"text": answer.text, "logprobs": {"top_logprobs": [first]} if first else None}
        self._send(200, {"choices": [choice], "usage": usage})

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True  # cut by `stop`
