"""Generation by OpenAI-compatible servers: one or more addresses, many requests in flight, servers that come and go.

Each server has a limit of its own that adapts (concurrency.py). A server that can't be reached is down: its requests go
back to the queue and elsewhere, and it is asked every few seconds whether it is back. When none is left, the engine
waits `server_wait` seconds and then gives up with everything answered so far handed out. With `servers: N` it starts
vLLM servers of its own (local_servers.py).
"""

import asyncio
import json
import os
import queue
import random
import threading
import time
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from caco_recipes.generation import chat
from caco_recipes.generation.config import EngineConfig
from caco_recipes.generation.engine import EngineError
from caco_recipes.generation.engines.concurrency import Concurrency
from caco_recipes.generation.engines.local_servers import LocalServers
from caco_recipes.generation.inbox import Inbox, Item
from caco_recipes.generation.model import find_model, served_identity
from caco_recipes.generation.requests import Completion, Request

if TYPE_CHECKING:
    import aiohttp

FIRST_LOGPROBS = 5  # as many as OpenAI's own servers give
BACKOFF_SECONDS, LONGEST_BACKOFF = 0.5, 30.0
PROBE_SECONDS = 2.0
_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}
# Servers that would put a begin-of-text token before a prompt in which the template has written one.
_ADDS_SPECIAL_TOKENS = ("vllm", "sglang")


@dataclass(slots=True, eq=False)
class _Server:
    url: str
    concurrency: Concurrency
    in_flight: int = 0
    up: bool = True
    pause_until: float = 0.0  # after a 429 with Retry-After
    owner: str = ""
    checked: bool = False

    def room(self, now: float) -> int:
        return self.concurrency.limit - self.in_flight if self.up and now >= self.pause_until else 0


@dataclass(slots=True)
class _Job:
    key: Hashable
    request: Request
    tries: int = 0
    not_before: float = 0.0
    error: str = ""


class _ServerDown(Exception):
    """The server can't be reached, or the connection broke."""


@dataclass(slots=True)
class _Refused(Exception):
    """An HTTP status that is not an answer."""

    status: int
    message: str
    retry_after: float = 0.0


@dataclass(slots=True)
class _Work:
    """The state of one `generate`."""

    inbox: Inbox
    out: "queue.SimpleQueue[Any]"
    jobs: list[_Job] = field(default_factory=list)
    tasks: set[asyncio.Task] = field(default_factory=set)
    left: threading.Event = field(default_factory=threading.Event)
    silent_since: float = 0.0


class OpenAIEngine:
    """See the module. Raises `EngineError` for keys that are missing; servers are first asked by `generate`."""

    def __init__(self, config: EngineConfig, key: str = "engine") -> None:
        self._key = key
        if config.servers and config.base_url:
            raise EngineError(f"{key}.servers: give either base_url or servers, not both")
        if not config.base_url and not config.servers:
            raise EngineError(f"{key}.base_url: name at least one server, e.g. http://127.0.0.1:8000/v1")
        for url in config.base_url:
            if not url.startswith(("http://", "https://")):
                raise EngineError(f"{key}.base_url: {url!r} does not start with http:// or https://")
        self._config = config
        self.identity = served_identity(config, key)
        self._local: LocalServers | None = None
        urls = config.base_url
        if config.servers:
            self._local = LocalServers(config, find_model(config, key), key)
            self._local.start()
            urls = self._local.urls
        self._servers = [_Server(url.rstrip("/"), Concurrency(config.max_in_flight)) for url in dict.fromkeys(urls)]
        self._tokenizer: Any = None
        self._closed = threading.Event()

    def render(self, messages: list[dict[str, str]], **template_arguments: Any) -> str:
        """With `endpoint: chat`, the messages as JSON: the server owns the template."""
        if self._config.endpoint == "chat":
            body: dict[str, Any] = {"messages": messages}
            if template_arguments:
                body["chat_template_kwargs"] = template_arguments
            return json.dumps(body, ensure_ascii=False)
        if self._tokenizer is None:
            source = EngineConfig(
                engine="transformers",
                model=self._config.tokenizer or self._config.model,
                revision=self._config.revision if not self._config.tokenizer else None,
            )
            where = f"{self._key}.tokenizer" if self._config.tokenizer else f"{self._key}.model"
            try:
                model = find_model(source, self._key)
            except EngineError as error:
                raise EngineError(
                    f"{where}: rendering prompts needs the served model's tokenizer ({error}); name it under "
                    f"{self._key}.tokenizer, or set {self._key}.endpoint: chat"
                ) from None
            self._tokenizer = chat.load_tokenizer(model.name, model.revision, self._config, self._key)
        return chat.render(self._tokenizer, messages, self._key, **template_arguments)

    def generate(self, requests: Iterable[Item] | Inbox) -> Iterator[tuple[Hashable, Completion]]:
        work = _Work(Inbox.of(requests), queue.SimpleQueue())
        thread = threading.Thread(target=self._serve, args=(work,), name="openai-requests", daemon=True)
        thread.start()
        try:
            while (item := work.out.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            # Also when the caller goes away in the middle.
            work.left.set()
            work.inbox.close()

    def close(self) -> None:
        self._closed.set()
        if self._local is not None:
            self._local.close()

    # the thread with the event loop

    def _serve(self, work: _Work) -> None:
        try:
            asyncio.run(self._run(work))
            work.out.put(None)
        except BaseException as error:
            work.out.put(error)

    async def _run(self, work: _Work) -> None:
        import aiohttp

        token = self._local.api_key if self._local else os.environ.get(self._config.api_key_env)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        timeout = aiohttp.ClientTimeout(total=self._config.timeout, sock_connect=10)
        connector = aiohttp.TCPConnector(limit=0)  # how many is for the servers' own limits to say
        async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as http:
            work.silent_since = time.monotonic()
            probes = asyncio.create_task(self._probe(http))
            reader: asyncio.Task | None = None
            try:
                while not self._stopped(work):
                    self._check_probes(probes)
                    now = time.monotonic()
                    self._give_up_if_silent(work, now)
                    room = self._room(now)
                    if room > len(work.jobs) and not work.inbox.finished:
                        taken = work.inbox.take(room - len(work.jobs), wait=False)
                        if not taken and (reader is None or reader.done()) and not work.tasks and not work.jobs:
                            # Nothing to do at all: a thread waits for the next request.
                            reader = asyncio.create_task(asyncio.to_thread(work.inbox.take, room, True))
                            taken = await self._read(work, reader)
                        work.jobs.extend(_Job(*item) for item in taken)
                    self._send(work, http)
                    if not work.tasks and not work.jobs and work.inbox.finished:
                        return
                    await self._pause(work)
            finally:
                probes.cancel()
                for task in work.tasks:
                    task.cancel()
                await asyncio.gather(probes, *work.tasks, return_exceptions=True)

    def _stopped(self, work: _Work) -> bool:
        return self._closed.is_set() or work.left.is_set()

    async def _read(self, work: _Work, reader: asyncio.Task) -> list[Item]:
        while not reader.done() and not self._stopped(work):
            await asyncio.wait([reader], timeout=0.2)
        if reader.done():
            return reader.result()
        return []

    def _check_probes(self, probes: asyncio.Task) -> None:
        if probes.done():
            probes.result()  # raises what a probe found

    async def _pause(self, work: _Work) -> None:
        """Until an answer is there, a job may be tried again, or new requests may have come."""
        if work.tasks:
            await asyncio.wait(work.tasks, timeout=0.02, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(0.02)
        for task in [task for task in work.tasks if task.done()]:
            work.tasks.discard(task)
            task.result()  # raises what ends the engine

    def _room(self, now: float) -> int:
        everywhere = sum(server.in_flight for server in self._servers)
        here = sum(max(0, server.room(now)) for server in self._servers if server.checked)
        return max(0, min(here, self._config.max_in_flight - everywhere))

    def _give_up_if_silent(self, work: _Work, now: float) -> None:
        if any(server.up and server.checked for server in self._servers) or not (work.jobs or work.inbox.waiting):
            work.silent_since = now
        elif self._local is not None:
            self._local.check()  # they start, or start again: as long as that is so, they are waited for
        elif now - work.silent_since > self._config.server_wait:
            urls = ", ".join(server.url for server in self._servers)
            raise EngineError(
                f"{self._key}.base_url: no server answered for {self._config.server_wait:.0f} s: {urls}. Start one, or "
                "correct the address, and run the same command again; everything answered so far is kept"
            )

    def _send(self, work: _Work, http: "aiohttp.ClientSession") -> None:
        now = time.monotonic()
        later = []
        for job in work.jobs:
            if job.not_before > now or self._room(now) <= 0:
                later.append(job)
                continue
            # The server with the largest share of its limit free.
            server = max(
                (s for s in self._servers if s.checked and s.room(now) > 0),
                key=lambda s: (s.room(now) / s.concurrency.limit, random.random()),
            )
            server.in_flight += 1
            work.tasks.add(asyncio.create_task(self._ask(work, job, server, http)))
        work.jobs = later

    async def _ask(self, work: _Work, job: _Job, server: _Server, http: "aiohttp.ClientSession") -> None:
        """One try of one request. Its outcome is an answer, or the job back in the queue."""
        started = time.monotonic()
        try:
            completion = await self._post(job.request, server, http)
        except _ServerDown as down:
            # A request that brings servers down must not bring down one after the other for ever: this is a try, too.
            server.up = False
            self._again(work, job, f"{server.url}: {down}", 0.0)
        except TimeoutError:
            server.concurrency.overloaded(time.monotonic(), self._config.timeout)
            self._again(work, job, f"{server.url}: no answer within {self._config.timeout:.0f} s", 0.0)
        except _Refused as refused:
            now = time.monotonic()
            if refused.status in (401, 403, 404, 405):
                raise EngineError(self._hint(server, refused)) from None
            if refused.status in _AGAIN:
                server.concurrency.overloaded(now, now - started)
                if refused.retry_after:
                    server.pause_until = now + min(refused.retry_after, LONGEST_BACKOFF)
                self._again(work, job, f"{server.url}: {refused.status} {refused.message}", refused.retry_after)
            else:
                error = f"refused with {refused.status}: {refused.message}"
                # A server started with a longer context would take it, so it is not an answer for good.
                too_long = any(word in refused.message for word in ("context length", "max_model_len", "max_tokens"))
                work.out.put((job.key, Completion("", "error", error=error, transient=too_long)))
        else:
            seconds = time.monotonic() - started
            server.concurrency.answered(seconds, completion.completion_tokens, server.in_flight)
            work.out.put((job.key, completion))
        finally:
            server.in_flight -= 1

    def _hint(self, server: _Server, refused: _Refused) -> str:
        what = f"{server.url} answered {refused.status}: {refused.message}"
        if refused.status in (401, 403):
            return f"{self._key}.api_key_env: {what}; put the key into the variable {self._config.api_key_env}"
        return f"{self._key}.model: {what}; is {self._config.model!r} what this server serves?"

    def _again(self, work: _Work, job: _Job, error: str, retry_after: float) -> None:
        job.tries += 1
        job.error = error
        if job.tries > self._config.retries:
            error = f"given up after {job.tries} tries: {job.error}"
            work.out.put((job.key, Completion("", "error", error=error, transient=True)))
            return
        backoff = min(LONGEST_BACKOFF, BACKOFF_SECONDS * 2 ** (job.tries - 1)) * random.uniform(0.75, 1.25)
        job.not_before = time.monotonic() + max(backoff, min(retry_after, LONGEST_BACKOFF))
        work.jobs.insert(0, job)

    async def _post(self, request: Request, server: _Server, http: "aiohttp.ClientSession") -> Completion:
        import aiohttp

        chat_endpoint = self._config.endpoint == "chat"
        url = f"{server.url}/chat/completions" if chat_endpoint else f"{server.url}/completions"
        try:
            async with http.post(url, json=self._body(request, server)) as response:
                if response.status != 200:
                    raise _Refused(response.status, *await _refusal(response))
                answer = await response.json(content_type=None)
            return _chat_completion(answer) if chat_endpoint else _completion(answer)
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            if isinstance(error, aiohttp.ServerTimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
                raise TimeoutError from None
            raise _ServerDown(str(error) or type(error).__name__) from None
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise _Refused(502, f"not an OpenAI answer: {error!r}") from None

    def _body(self, request: Request, server: _Server) -> dict[str, Any]:
        wanted = request.sampling
        body: dict[str, Any] = {"model": self._config.model, "temperature": wanted.temperature}
        # Only what differs from the protocol's defaults: many servers refuse keys that they don't know.
        if wanted.temperature > 0:
            body |= {"seed": request.sampler_seed(), "top_p": wanted.top_p}
        if wanted.top_k > 0:
            body["top_k"] = wanted.top_k
        if wanted.min_p > 0:
            body["min_p"] = wanted.min_p
        if wanted.stop:
            body["stop"] = list(wanted.stop)
        if wanted.json_schema:
            schema = {"name": "answer", "schema": json.loads(wanted.json_schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if self._config.endpoint == "chat":
            body |= json.loads(request.prompt)
            body["max_tokens"] = wanted.max_tokens
            if wanted.logprobs:
                body |= {"logprobs": True, "top_logprobs": FIRST_LOGPROBS}
        else:
            body |= {"prompt": request.prompt, "max_tokens": wanted.max_tokens}
            if wanted.logprobs:
                body["logprobs"] = FIRST_LOGPROBS
            if server.owner in _ADDS_SPECIAL_TOKENS:
                body["add_special_tokens"] = False
        return body | self._config.extra_body

    async def _probe(self, http: "aiohttp.ClientSession") -> None:
        """Asks servers that are new or down for their models, until they answer."""
        while True:
            # All at once: an address where nothing answers must not keep the servers behind it waiting.
            await asyncio.gather(*(self._probe_one(s, http) for s in self._servers if not (s.checked and s.up)))
            await asyncio.sleep(PROBE_SECONDS)

    async def _probe_one(self, server: _Server, http: "aiohttp.ClientSession") -> None:
        import aiohttp

        try:
            async with http.get(f"{server.url}/models", timeout=aiohttp.ClientTimeout(total=10)) as response:
                if response.status in (401, 403):
                    raise EngineError(self._hint(server, _Refused(response.status, *await _refusal(response))))
                if response.status >= 500:
                    return
                answer = await response.json(content_type=None) if response.status == 200 else {}
            self._recognise(server, answer)
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError):
            return  # not there yet

    def _recognise(self, server: _Server, answer: Any) -> None:
        models = answer.get("data") if isinstance(answer, dict) else None
        models = [m for m in models if isinstance(m, dict)] if isinstance(models, list) else []
        server.owner = str(models[0].get("owned_by", "")) if models else ""
        server.concurrency = Concurrency(self._config.max_in_flight)
        server.up = server.checked = True


async def _refusal(response: "aiohttp.ClientResponse") -> tuple[str, float]:
    """The server's message, at most 500 characters of it, and its Retry-After in seconds."""
    text = (await response.content.read(4096)).decode("utf-8", "replace")
    try:
        parsed = json.loads(text)
        error = parsed.get("error", parsed) if isinstance(parsed, dict) else parsed
        text = str(error.get("message", error)) if isinstance(error, dict) else str(error)
    except ValueError:
        pass  # not JSON: the text itself
    try:
        after = float(response.headers.get("Retry-After", 0))
    except ValueError:
        after = 0.0  # a date; the back-off has to do
    return " ".join(text.split())[:500], after


def _completion(answer: dict[str, Any]) -> Completion:
    choice = answer["choices"][0]
    first: dict[str, float] = {}
    if (logprobs := choice.get("logprobs")) and logprobs.get("top_logprobs"):
        first = {str(token): float(value) for token, value in (logprobs["top_logprobs"][0] or {}).items()}
    return _made(answer, choice, choice.get("text"), None, first)


def _chat_completion(answer: dict[str, Any]) -> Completion:
    choice = answer["choices"][0]
    first: dict[str, float] = {}
    if (logprobs := choice.get("logprobs")) and logprobs.get("content"):
        for entry in logprobs["content"][0].get("top_logprobs", []):
            first.setdefault(entry["token"], float(entry["logprob"]))
    message = choice["message"]
    return _made(answer, choice, message.get("content"), message.get("refusal"), first)


def _made(answer: dict, choice: dict, text: str | None, refusal: str | None, first: dict[str, float]) -> Completion:
    finish = choice.get("finish_reason")
    if refusal or finish == "content_filter":
        finish, text = "refusal", refusal or text
    elif finish == "length":
        pass
    elif finish in ("abort", "error"):
        raise _Refused(503, f"the server ended the request: {finish}")
    else:
        finish = "stop"
    usage = answer.get("usage") or {}
    return Completion(
        text=text or "",
        finish_reason=finish,
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        completion_tokens=int(usage.get("completion_tokens") or 0),
        first_token_logprobs=first,
    )
