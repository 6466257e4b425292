"""Probing on two machines that share nothing but a wire: the files of one process? And with one killed?

    python benchmarks/two_machines.py --model smollm2 --questions 96        # as root, on Linux, with iproute2

Two network namespaces with a veth pair between them stand for two machines. The second one's mount namespace
hides the run's folder, the model's and Candor's cache behind empty ones: what it needs has to come over the
wire. Each runs a Ray node of one worker with one thread; the command runs on the first.

1. in one process, without a cluster: the files to compare with;
2. on both machines;
3. on both, and everything on the second is killed once it has the model and two more shards are there.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HEAD, SECOND = "10.77.0.1", "10.77.0.2"
FIRST_SPACE, SECOND_SPACE = "candor-one", "candor-two"
SPACES = {FIRST_SPACE: HEAD, SECOND_SPACE: SECOND}
PORT = 6380
ENVIRONMENT = {
    **os.environ,
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}


def root(*words: object) -> str:
    """Run a command that has to work."""
    return subprocess.run(list(map(str, words)), check=True, capture_output=True, text=True).stdout


def wire() -> None:
    """Two namespaces and the wire between them."""
    for space in SPACES:
        root("ip", "netns", "add", space)
    root("ip", "link", "add", "candor-v1", "type", "veth", "peer", "name", "candor-v2")
    for end, (space, address) in zip(("candor-v1", "candor-v2"), SPACES.items(), strict=True):
        root("ip", "link", "set", end, "netns", space)
        root("ip", "-n", space, "addr", "add", f"{address}/24", "dev", end)
        for device in (end, "lo"):
            root("ip", "-n", space, "link", "set", device, "up")


def kill_all(space: str) -> int:
    """Kill every process in a namespace, as a power cut would; how many there were."""
    found = subprocess.run(["ip", "netns", "pids", space], capture_output=True, text=True, check=False)
    pids = [int(pid) for pid in found.stdout.split()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return len(pids)


def unwire() -> None:
    """Take all of it away again."""
    for space in SPACES:
        kill_all(space)
        subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


def ray(*words: object) -> list[object]:
    """`ray start` with what both nodes have in common."""
    program = "from ray.scripts.scripts import main; main()"
    start = [sys.executable, "-c", program, "start", "--num-cpus", 1, "--disable-usage-stats"]
    return [*start, "--object-store-memory", 500_000_000, *words]


def start_nodes(folder: Path, hidden: list[Path]) -> None:
    """A head in the first namespace, a node in the second that sees nothing of the hidden folders."""
    first = ["--head", "--node-ip-address", HEAD, "--port", PORT, "--include-dashboard=false"]
    in_space(FIRST_SPACE, ray(*first, "--temp-dir", folder / "r1"))
    joined = [str(word) for word in ray("--address", f"{HEAD}:{PORT}", "--node-ip-address", SECOND)]
    masks = " && ".join(f"mount -t tmpfs none '{path}'" for path in hidden)
    in_space(SECOND_SPACE, ["unshare", "-m", "sh", "-c", f'{masks} && exec "$@"', "sh", *joined])


def in_space(space: str, command: list[object]) -> None:
    """Run a command in a namespace; it has to work."""
    line = ["ip", "netns", "exec", space, *map(str, command)]
    done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)}\n{done.stdout}{done.stderr}")


def candor(*words: object) -> list[str]:
    """A knowledge command."""
    return [sys.executable, "-m", "candor", "knowledge", *map(str, words)]


def begin(out: Path, questions: Path, options: argparse.Namespace, *more: object) -> None:
    """The run's folder with its questions."""
    settings = ("probe.shard=8", f"model.dtype={options.dtype}")
    words = [word for setting in settings for word in ("--set", setting)]
    line = candor(
        "questions", "--model", options.model, "--questions", questions, "--out", out, *words, *more
    )
    subprocess.run(line, env=ENVIRONMENT, check=True, capture_output=True)


def probe(out: Path, space: str | None = None) -> subprocess.Popen[bytes]:
    """Probing under way."""
    place = [] if space is None else ["ip", "netns", "exec", space]
    with (out / "probe.log").open("wb") as log:
        return subprocess.Popen(
            [*place, *candor("probe", "--out", out)], env=ENVIRONMENT, stdout=log, stderr=log
        )


def finished(process: subprocess.Popen[bytes], out: Path) -> None:
    """Wait for it; it has to end well."""
    if process.wait():
        raise SystemExit((out / "probe.log").read_text())


def files(out: Path) -> dict[str, bytes]:
    """What probing writes."""
    return {path.name: path.read_bytes() for path in (out / "probe").iterdir()}


def shards(out: Path) -> int:
    """How many are done."""
    return len(list((out / "probe").glob("shard-*.jsonl")))


def received(cache: Path) -> list[str]:
    """Models that the second machine has been sent."""
    pids = root("ip", "netns", "pids", SECOND_SPACE).split()
    line = ["nsenter", "-t", pids[0], "-m", "sh", "-c", f"ls '{cache}/received' 2>/dev/null"]
    return subprocess.run(line, capture_output=True, text=True, check=False).stdout.split()


def on_both(out: Path, cache: Path, *, kill: bool) -> float:
    """Probe on both machines; seconds."""
    begun = time.perf_counter()
    process = probe(out, FIRST_SPACE)
    wanted = None
    while process.poll() is None:
        time.sleep(0.2)
        have = received(cache) if wanted is None else []
        if have:
            print(f"  the second machine has {have[0]} after {time.perf_counter() - begun:.0f} s")
            wanted = shards(out) + 2  # by then it has worked on something
        if kill and wanted is not None and shards(out) >= wanted:
            done, kill = shards(out), False
            print(
                f"  {done} shards are there; killed {kill_all(SECOND_SPACE)} processes of the second machine"
            )
    finished(process, out)
    return time.perf_counter() - begun


def main() -> None:
    """Run all three, compare, and say so."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--questions", type=int, default=96)
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    if os.geteuid():
        raise SystemExit("namespaces need root")
    from candor.core.files import write_jsonl
    from candor.data.facts import embedded_questions
    from candor.model.load import cache_folder, resolve

    options.model = resolve(options.model)  # a folder, so that it has to be sent
    # A short name: Ray's sockets lie in it, whose paths may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="cm-", dir="/tmp"))
    runs, questions = folder / "runs", folder / "questions.jsonl"
    chosen = embedded_questions()[:: max(1, len(embedded_questions()) // options.questions)][
        : options.questions
    ]
    write_jsonl(questions, [row.model_dump(include={"question", "answers", "document"}) for row in chosen])
    unwire()
    wire()
    try:
        cluster = ("--cluster", f"{HEAD}:{PORT}")
        begin(runs / "here", questions, options)
        begun = time.perf_counter()
        finished(probe(runs / "here"), runs / "here")
        print(f"one process, one thread: {shards(runs / 'here')} shards, {time.perf_counter() - begun:.0f} s")
        start_nodes(folder, [runs, Path(options.model), cache_folder()])
        for name, kill in (("both", False), ("killed", True)):
            begin(runs / name, questions, options, *cluster)
            seconds = on_both(runs / name, cache_folder(), kill=kill)
            same = "the same files" if files(runs / name) == files(runs / "here") else "OTHER FILES"
            print(f"{name}: {shards(runs / name)} shards, {seconds:.0f} s, {same} as one process")
            if same == "OTHER FILES":
                raise SystemExit(f"compare {runs}")
    finally:
        unwire()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
