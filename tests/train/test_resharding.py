"""Training that changes hands: begun by two processes, gone on with by one, and by two again."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from candor.core.errors import CandorError
from candor.train import loop
from candor.train.distributed import Group
from candor.train.loop import fit
from candor.train.settings import TrainSettings
from candor.train.state import save_state, unfinished
from tiny_models import tiny_examples, tiny_model
from torchrun import program

# Many micro-batches, not always equally many for both processes.
FAST = {
    "learning_rate": 1e-2, "epochs": 2, "batch_tokens": 96, "micro_batch_tokens": 24, "dtype": "float32",
    "checkpoint_seconds": 0,
}  # fmt: skip
KINDS = {
    "whole": {},
    "muon": {"optimizer": "muon"},
    "adapters": {"lora_rank": 2},
    "divided": {"sharded": True},
    "divided, lower half frozen": {"sharded": True, "frozen": 0.5},
    "divided, bf16": {"sharded": True, "dtype": "bf16"},
}
# How far apart the weights may end, as a share of how far training moved them. Gradients are added in another
# order; in bfloat16 they are rounded to 8 bits as well, and Muon computes in it.
BOUND = dict.fromkeys(KINDS, 1e-4) | {"muon": 0.02, "divided, bf16": 0.2}

SOME = """
import atexit, json, os, sys
from dataclasses import replace
from pathlib import Path
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from candor.train import loop
from candor.train.adapters import merged
from candor.train.settings import TrainSettings
from tiny_models import tiny_examples, tiny_model

torch.set_num_threads(1)

class KilledError(Exception):
    pass

def train(settings, folder, last=0):
    '''Train; all processes end behind the state of the step `last`. What each update read, too.'''
    # Knowledge tuning has some on which the model is to stay as it is.
    examples = [replace(one, keep=place % 5 == 0) for place, one in enumerate(tiny_examples(24))]
    read, keep, prepare = [], loop._Run.keep, loop._Run._prepare

    def keeping(self, *given):
        keep(self, *given)
        if self.step == last:
            raise KilledError

    def preparing(self, some):
        read.append((self.step, [one.token_ids for one in some]))
        return prepare(self, some)

    loop._Run.keep, loop._Run._prepare = keeping, preparing
    try:
        model = loop.fit(tiny_model(), examples, settings, pad_id=0, folder=folder).model
    except KilledError:
        return None, read
    finally:
        loop._Run.keep, loop._Run._prepare = keep, prepare
    return merged(model).state_dict(), read

def threads():
    '''The names of this process's threads (on Linux).'''
    return sorted(path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))

def main():
    job, root, last = json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    left = root / f"left-{os.environ['RANK']}.json"
    atexit.register(lambda: left.write_text(json.dumps(threads())))  # the first in, so done last
    for name, settings in job.items():
        weights, read = train(TrainSettings(**settings), root / name, last)
        parts = [None] * dist.get_world_size()
        dist.all_gather_object(parts, read)
        if dist.get_rank() == 0:
            (root / f"{name}.json").write_text(json.dumps(parts))
            if weights is not None:
                whole = {key: value.clone().contiguous() for key, value in weights.items()}
                save_file(whole, root / f"{name}.safetensors")

if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, torch.Tensor]]]:
    """Every kind of training killed behind step 4 in two processes, behind 8 in one, and done by two.

    Also the weights that one process ends with that goes on from step 4.
    """
    root = tmp_path_factory.mktemp("changed")
    script = root / "resharding_program.py"
    script.write_text(SOME)
    job = {name: {**FAST, **settings} for name, settings in KINDS.items()}
    program(script, json.dumps(job), root, 4, processes=2)
    for name in KINDS:
        (root / f"{name}.json").rename(root / f"{name}, first.json")
    train, alone = runpy.run_path(str(script))["train"], {}
    for name, settings in job.items():
        assert [path.name for path in (root / name).iterdir()] == ["step-00000004"]
        train(TrainSettings(**settings), root / name, 8)
        assert [path.name for path in (root / name).iterdir()] == ["step-00000008"]
        alone[name], read = train(TrainSettings(**settings), None)
        (root / f"{name}, alone.json").write_text(json.dumps(read))
    program(script, json.dumps(job), root, 0, processes=2)
    return root, alone


@pytest.mark.parametrize("name", KINDS)
def test_two_processes_then_one_then_two_end_where_one_does(changed, name: str) -> None:
    root, alone = changed
    found = load_file(root / f"{name}.safetensors")
    assert found.keys() >= alone[name].keys() - {"lm_head.weight"}
    start = tiny_model().state_dict()
    apart, moved = (
        sum(float((found[key].float() - other[key].float()).square().sum()) for key in found) ** 0.5
        for other in (alone[name], start)
    )
    assert moved > 1 and apart < BOUND[name] * moved


def test_no_thread_of_the_group_is_left_when_a_process_ends(changed) -> None:
    """One that is can meet an interpreter that is being taken down, which aborts the process."""
    root, _ = changed
    for rank in range(2):
        left = json.loads((root / f"left-{rank}.json").read_text())
        assert not [name for name in left if "gloo" in name], left


def test_an_update_reads_the_same_tokens_in_the_same_order_however_many_read_it(changed) -> None:
    root, _ = changed

    def updates(*files: str) -> dict[int, list[list[int]]]:
        """Examples of each step, those of all processes in turn."""
        found: dict[int, list[list[int]]] = {}
        for file in files:
            parts = json.loads((root / file).read_text())
            for step in sorted({step for read in parts for step, _ in read}):
                taken = [[some for at, some in read if at == step] for read in parts]
                turns = [taken[i % len(taken)][i // len(taken)] for i in range(sum(map(len, taken)))]
                found[step] = [ids for some in turns for ids in some]
        return found

    (root / "one.json").write_text(json.dumps([json.loads((root / "whole, alone.json").read_text())]))
    alone = updates("one.json")
    assert len(alone) >= 10
    first, last = updates("whole, first.json"), updates("whole.json")
    assert sorted(first) == [0, 1, 2, 3] and sorted(last) == list(range(8, len(alone)))
    for step, examples in {**first, **last}.items():
        assert examples == alone[step], step
    taken = [
        sum(len(some) for _, some in read) for read in json.loads((root / "whole, first.json").read_text())
    ]
    assert min(taken) > 0 and sum(taken) == sum(len(alone[step]) for step in first)


def test_processes_that_find_different_states_are_told_to_share_a_disk(tmp_path: Path) -> None:
    class Apart(Group):
        def total(self, value: float) -> float:
            return value + (
                1.0 if value == 1 else -1.0
            )  # another process that found none: -1, and its square

    save_state(tmp_path, 3, [("a", torch.ones(2))], {"fingerprint": "x"})
    with pytest.raises(
        CandorError, match="not all of the 2 processes find the same training state"
    ) as caught:
        unfinished(tmp_path, "x", Apart(0, 2), "other settings")
    assert "disk that all machines share" in str(caught.value.fix)
    notes = unfinished(tmp_path, "x", Group(), "other settings")
    assert notes is not None and notes["step"] == 3
    with pytest.raises(CandorError, match="of a run with other settings"):
        unfinished(tmp_path, "y", Group(), "other settings")


def test_memory_that_runs_out_names_the_setting_to_lower(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(*given: object) -> float:
        torch.empty(1 << 55)
        return 0.0

    monkeypatch.setattr(loop.Objective, "backward", too_much)
    with pytest.raises(CandorError, match="memory ran out while training, 24 tokens at once") as caught:
        fit(tiny_model(), tiny_examples(), TrainSettings(**FAST), pad_id=0)
    assert "micro_batch_tokens" in str(caught.value.fix) and "gradient_checkpointing" in str(caught.value.fix)
