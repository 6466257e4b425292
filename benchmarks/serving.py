"""How fast does the server answer one client, and many at once, beside vLLM's?

    python benchmarks/serving.py --vllm-python VENV/bin/python       # and vLLM's server, from its environment

Clients stream completions of 64 tokens from /v1/completions, each asking again as soon as it is answered:
1, 8 and 32 clients, 4 requests a client (8 of the only one); SmolLM2-135M in bfloat16, temperature 0.7,
`ignore_eos`, so that all answers are equally long. Both servers stay loaded and are asked in turns.
vLLM takes the better of its default of one thread and of both cores at each number of clients.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from peers import arguments, machine, save

_CLIENTS = (1, 8, 32)
_TOKENS = 64


def prompts(count: int) -> list[str]:
    """Distinct questions, as raw text."""
    from candor.data.facts import embedded_questions

    found = list(dict.fromkeys(f"Question: {row.question}\nAnswer:" for row in embedded_questions()))
    random.Random(0).shuffle(found)
    return found[:count]


class Server:
    """A server in a process of its own."""

    def __init__(self, name: str, command: list[str], port: int, folder: Path, **environment: str) -> None:
        begun = time.perf_counter()
        self.name, self.url = name, f"http://127.0.0.1:{port}"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{name}.log").open("w") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=folder,  # vLLM would take a checkout's src for its own
                env={**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", **environment},
            )
        while not self._answers():
            if self._process.poll() is not None:
                raise SystemExit(f"{name} ended; its log is in {folder}")
            time.sleep(0.5)
        self.startup = time.perf_counter() - begun
        self.model = httpx.get(f"{self.url}/v1/models").json()["data"][0]["id"]

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()

    async def serve(self, texts: list[str], clients: int) -> dict[str, float]:
        """All texts, by so many clients; tokens a second and the median time to a first token."""
        waiting, firsts, counts = list(texts), [], []

        async def client(http: httpx.AsyncClient) -> None:
            while waiting:
                first, tokens = await _ask(http, self.url, self.model, waiting.pop())
                firsts.append(first)
                counts.append(tokens)

        begun = time.perf_counter()
        async with httpx.AsyncClient(timeout=600) as http:
            await asyncio.gather(*(client(http) for _ in range(clients)))
        seconds = time.perf_counter() - begun
        if set(counts) != {_TOKENS}:
            raise SystemExit(f"{self.name} answered with {sorted(set(counts))} tokens instead of {_TOKENS}")
        return {"tokens_per_second": sum(counts) / seconds, "first_token": statistics.median(firsts)}


async def _ask(http: httpx.AsyncClient, url: str, model: str, text: str) -> tuple[float, int]:
    body = {
        "model": model,
        "prompt": text,
        "max_tokens": _TOKENS,
        "temperature": 0.7,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    begun, first, tokens = time.perf_counter(), 0.0, 0
    async with http.stream("POST", f"{url}/v1/completions", json=body) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                chunk = json.loads(line[6:])
                first = first or time.perf_counter() - begun
                if chunk.get("usage"):
                    tokens = chunk["usage"]["completion_tokens"]
    return first, tokens


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _vllm(python: Path, model: str, folder: Path, threads: str) -> Server:
    port = _port()
    command = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", model, "--port", str(port)]
    command += [
        "--host",
        "127.0.0.1",
        "--dtype",
        "bfloat16",
        "--max-model-len",
        "1024",
        "--max-num-seqs",
        "64",
    ]
    name = f"vllm-{'2-threads' if '-' in threads else '1-thread'}"
    return Server(
        name, command, port, folder,
        VLLM_CPU_KVCACHE_SPACE="2", VLLM_NO_USAGE_STATS="1", VLLM_CPU_OMP_THREADS_BIND=threads,
    )  # fmt: skip


def main() -> None:
    parser = arguments(__doc__, runs=3)
    parser.add_argument("--vllm-python", type=Path, help="interpreter of an environment with vLLM")
    options = parser.parse_args()
    from candor.model.load import resolve

    model, folder, port = str(resolve("smollm2")), (options.work / "serving").resolve(), _port()
    command = [sys.executable, "-m", "candor", "serve", f"smollm2={model}", "--port", str(port)]
    servers = [Server("candor", command, port, folder)]
    try:
        if options.vllm_python:
            servers += [_vllm(options.vllm_python, model, folder, threads) for threads in ("0", "0-1")]
        report = _measure(servers, options.runs)
    finally:
        for server in servers:
            server.stop()
    save({"title": "Serving", "machine": machine(), "sides": report}, options)


def _measure(servers: list[Server], runs: int) -> dict[str, Any]:
    report: dict[str, Any] = {server.name: {"startup": server.startup} for server in servers}
    print("| clients | side | tokens/s: median (low to high) | first token, ms | ours is faster by |")
    print("|---|---|---|---|---|")
    for clients in _CLIENTS:
        texts = prompts(max(8, 4 * clients))
        for server in servers:
            asyncio.run(server.serve(texts[: clients + 1], clients))  # warm
            report[server.name][clients] = []
        for _ in range(runs):
            for server in servers:
                report[server.name][clients].append(asyncio.run(server.serve(texts, clients)))
        rates = {
            server.name: [run["tokens_per_second"] for run in report[server.name][clients]]
            for server in servers
        }
        ours = statistics.median(rates["candor"])
        for server in servers:
            rate = rates[server.name]
            first = statistics.median(run["first_token"] for run in report[server.name][clients])
            median = statistics.median(rate)
            print(
                f"| {clients} | {server.name} | {median:,.0f} ({min(rate):,.0f} to {max(rate):,.0f}) "
                f"| {1000 * first:,.0f} | {ours / median:.2f}× |",
                flush=True,
            )
    return report


if __name__ == "__main__":
    main()
