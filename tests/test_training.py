"""Every family learns its toy data, gives the same numbers twice, and survives ``kill -9``."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import toys
import warm
import yaml
from safetensors.torch import load_file, save_file

from beauty_models import code, families, params
from beauty_models.files import read_json
from beauty_models.training.checkpoint import DIGEST_LENGTH, Checkpoint, fingerprint
from beauty_models.training.finite import NotFiniteError, not_finite
from beauty_models.training.optimization import DivergenceGuard, Optimization

ROOT = Path(__file__).parents[1]
FAMILIES = families.names()


def toy_params(folder: Path) -> Path:
    """Write params.yaml with the toy profile over it, checkpoints as often as steps; return it."""
    often = {"checkpoint_minutes": 1e-6}
    merged = {}
    for family, block in toys.blocks().items():
        merged[family] = params.merge(block, {"pretrain": often, "finetune": often})
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump({"families": merged}, allow_unicode=True), encoding="utf-8")
    return file


def arguments_of(
    stage: str, family: str, place: Path, out: str = "", settings: Path | None = None
) -> list[str]:
    """Return the arguments of ``python -m beauty_models`` for a stage with all paths in ``place``.

    ``out`` renames the one that it writes.
    """
    names = families.path_names(families.function(stage, family)) if stage != "toy" else ["raw"]
    written = families.stages(family).get(stage)
    paths = [f"--{name}={place / (out if out and name == written else name)}" for name in names]
    extra = (
        []
        if stage == "toy"
        else [
            "--params",
            str(settings or place / "params.yaml"),
            "--metrics",
            str(place / f"{out or stage}.json"),
        ]
    )
    return [stage, family, *paths, *extra]


def run(*command: str) -> None:
    """Run a command of the shell, which must succeed."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def weights(folder: Path) -> dict[str, str]:
    """Return the hash of every weights file in ``folder``, of which there is one at least."""
    found = {
        str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in sorted(folder.rglob("*.safetensors"))
    }
    assert found
    return found


NOTING_MODULES = """
import sys
from pathlib import Path
from beauty_models.__main__ import main

code = main(sys.argv[2:])
Path(sys.argv[1]).write_text("\\n".join(sys.modules))
sys.exit(code)
"""
"""`python -m beauty_models`, which notes in the file of its first argument what was imported."""


@pytest.fixture(scope="session", autouse=True)
def loaded(request: pytest.FixtureRequest) -> None:
    """Have the families loaded before their stages run, those of them that are tested at all."""
    specs = [getattr(item, "callspec", None) for item in request.session.items]
    tested = {spec.params["trained"] for spec in specs if spec and "trained" in spec.params}
    warm.load(sorted(tested))


@pytest.fixture(scope="module", params=FAMILIES)
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """One family taken through all its stages on toy data, by their real command."""
    family, place = request.param, tmp_path_factory.mktemp(request.param)
    toy_params(place)
    run(sys.executable, "-m", "beauty_models", *arguments_of("toy", family, place))
    for stage in families.stages(family):
        noted = str(place / f"{stage}.modules")
        run(sys.executable, "-c", NOTING_MODULES, noted, *arguments_of(stage, family, place))
    return family, place


def test_a_stage_that_runs_imports_recorded_code_alone(trained: tuple[str, Path]) -> None:
    family, place = trained
    for stage in families.stages(family):
        loaded = (place / f"{stage}.modules").read_text().splitlines()
        imported = {name for name in loaded if name.partition(".")[0] == "beauty_models"}
        module = families.module(stage, family)
        assert module in imported
        assert imported <= set(code.digests(module)), stage


def test_learns_its_toy_data(trained: tuple[str, Path]) -> None:
    """The bound is the family's own.

    Its gate's floor in profiles/toy.yaml, which chance must not reach.
    """
    family, place = trained
    gate = params.load(family, place / "params.yaml").gate
    metrics = read_json(place / "evaluate.json")
    larger = gate.larger_is_better
    sign = 1 if larger else -1
    assert sign * metrics[gate.metric] >= sign * gate.floor
    weakest = families.strongest(gate.metric, metrics, gate.baselines, not larger)
    assert weakest
    assert sign * metrics[f"{weakest}/{gate.metric}"] < sign * gate.floor
    lead = families.lead(gate.metric, metrics, weakest, larger)
    assert lead is not None and lead > 0
    assert metrics[f"{gate.metric}.low"] <= metrics[gate.metric] <= metrics[f"{gate.metric}.high"]


def test_pretraining_lowers_its_loss(trained: tuple[str, Path]) -> None:
    figures = read_json(trained[1] / "pretrain.json")
    assert figures["loss_after"] < 0.9 * figures["loss_before"]


@pytest.mark.parametrize("stage", ["ingest", "pretrain", "finetune"])
def test_same_input_gives_the_same_bytes(trained: tuple[str, Path], stage: str) -> None:
    family, place = trained
    out = families.STAGES[stage]
    done = warm.run(arguments_of(stage, family, place, out=f"{out}-again"), ROOT, 300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    for file in sorted(f for f in (place / out).rglob("*") if f.is_file()):
        assert (
            file.read_bytes()
            == (place / f"{out}-again" / file.relative_to(place / out)).read_bytes()
        ), file.name


def kill_midway(arguments: list[str], checkpoint: Path) -> None:
    """Start a stage and kill it once it has saved some checkpoints."""
    seen: set[int] = set()
    with warm.started(arguments, ROOT) as process:
        while len(seen) < 4:  # some steps in, not only at the first checkpoint
            assert process.is_alive(), "the stage ended before it could be killed"
            with suppress(FileNotFoundError):  # for a moment, while a new one takes its place
                seen.add(checkpoint.stat().st_mtime_ns)
            time.sleep(0.002)
        process.kill()


class Killed(NamedTuple):
    """A stage that was killed some steps in."""

    arguments: list[str]  # run it again
    out: Path  # what it would have written
    checkpoints: Path  # the folder it left
    whole: Path  # what the undisturbed stage wrote


def killed(trained: tuple[str, Path], stage: str, name: str) -> Killed:
    """Run ``stage`` once more, its output renamed by ``name``, and kill it midway."""
    family, place = trained
    written = families.STAGES[stage]
    out = f"{written}-{name}"
    arguments = arguments_of(stage, family, place, out)
    checkpoints = place / f"{out}.checkpoint"
    kill_midway(arguments, checkpoints / "state.pt")
    return Killed(arguments, place / out, checkpoints, place / written)


def resumed(arguments: list[str]) -> str:
    """Run a stage that was killed before; return what it printed."""
    done = warm.run(arguments, ROOT, 600)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_killed_stage_resumes_and_ends_with_the_same_weights(
    trained: tuple[str, Path], stage: str
) -> None:
    run = killed(trained, stage, "killed")
    assert not run.out.exists(), "a half-written output"
    log = resumed(run.arguments)
    before, resuming, _ = log.partition(": resuming ")
    assert resuming and before.splitlines()[-1].startswith(stage)
    assert weights(run.out) == weights(run.whole)
    assert not run.checkpoints.exists()


def flip(file: Path) -> None:
    """Change one bit in the middle of ``file``."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped": flip,
    "truncated": lambda file: os.truncate(file, file.stat().st_size // 2),
    "empty": lambda file: file.write_bytes(b""),
    "garbage": lambda file: file.write_bytes(os.urandom(5000)),
    "no digest": lambda file: file.write_bytes(file.read_bytes()[DIGEST_LENGTH + 1 :]),
}


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_damaged_checkpoint_is_set_aside_and_the_one_before_it_goes_on(
    trained: tuple[str, Path], stage: str
) -> None:
    run = killed(trained, stage, "damaged")
    folder = run.checkpoints
    last = "state.pt" if (folder / "state.pt").exists() else "state.previous.pt"
    flip(folder / last)
    log = resumed(run.arguments)
    damaged = f"checkpoint: {folder / last} is damaged (its content is not what its digest says)"
    assert damaged in log
    assert (": resuming " in log) == (last == "state.pt")
    assert weights(run.out) == weights(run.whole)
    assert [file.name.partition(".damaged-")[0] for file in folder.iterdir()] == [last]


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_noticed(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> Checkpoint:
        return Checkpoint(tmp_path / "model", "same", 1)

    for step in (1, 2):
        run().save({"step": step, "weights": torch.arange(1000.0)})
    DAMAGES[damage](run().file)
    state = run().load()
    assert state is not None and state["step"] == 1
    assert torch.equal(state["weights"], torch.arange(1000.0))
    DAMAGES[damage](run().previous)
    assert run().load() is None, "the last good one is damaged, too"
    said = capsys.readouterr().out
    assert said.count("is damaged") == 2 and "starting from the beginning" in said
    assert len(list(run().file.parent.glob("*.damaged-*"))) == 2
    run().save({"step": 3})
    run().clear()
    assert len(list(run().file.parent.iterdir())) == 2, "what was set aside stays, all else goes"


def test_few_damaged_checkpoints_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "model.checkpoint"
    folder.mkdir()
    for time_ in ("20260101T000000", "20260102T000000", "20260103T000000"):
        (folder / f"state.pt.damaged-{time_}").write_bytes(b"old")
    (folder / "state.pt").write_bytes(b"new")
    assert Checkpoint(tmp_path / "model", "same", 1).load() is None
    kept = sorted(file.name for file in folder.iterdir())
    assert len(kept) == 2 and kept[0] == "state.pt.damaged-20260103T000000"


def absurd(section: dict[str, Any], rate: float, precision: str) -> dict[str, Any]:
    """Return ``section`` with every learning rate, nested ones too, set to ``rate``."""
    changed = dict(section)
    for key, value in section.items():
        if isinstance(value, dict):
            changed[key] = absurd(value, rate, precision)
        elif key.endswith("learning_rate"):
            changed[key] = rate
        elif key == "precision":
            changed[key] = precision
    return changed


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_divergence_stops_at_once_and_names_the_step(
    trained: tuple[str, Path], stage: str, precision: str, tmp_path: Path
) -> None:
    family, place = trained
    block = params.read(place / "params.yaml")[family]
    settings = tmp_path / "params.yaml"
    settings.write_text(
        yaml.safe_dump(
            {"families": {family: {**block, stage: absurd(block[stage], 1e30, precision)}}}
        )
    )
    out = f"{families.STAGES[stage]}-{precision}"
    done = warm.run(arguments_of(stage, family, place, out, settings), ROOT, 600)
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    *before, last = done.stderr.strip().splitlines()
    assert re.match(rf"error: {stage}.*: step \d+ of \d+: .*learning rates 1e\+30", last), last
    assert "Traceback" not in done.stderr
    assert "Remedy: lower the learning rates of this stage in params.yaml" in last
    assert not (place / out).exists()
    assert not (place / f"{out}.json").exists()
    left = Checkpoint(place / out, "", 1).file.parent
    for file in left.glob("*.pt"):
        with file.open("rb") as stream:
            stream.seek(DIGEST_LENGTH + 1)
            assert not_finite(torch.load(stream, weights_only=True)) is None
    shutil.rmtree(left, ignore_errors=True)


def poison(folder: Path) -> None:
    """Make every weight in ``folder`` NaN, as an earlier version or a disk could leave them."""
    for file in folder.rglob("*.safetensors"):
        weights_ = load_file(file)
        for name, value in weights_.items():
            if value.is_floating_point():
                weights_[name] = torch.full_like(value, torch.nan)
        save_file(weights_, file, metadata={"format": "pt"})


@pytest.mark.parametrize(("stage", "read"), [("finetune", "pretrained"), ("evaluate", "model")])
def test_weights_that_are_no_numbers_end_a_stage_in_words(
    trained: tuple[str, Path], stage: str, read: str, tmp_path: Path
) -> None:
    family, place = trained
    poisoned = tmp_path / read
    shutil.copytree(place / read, poisoned)
    poison(poisoned)
    arguments = [
        f"--{read}={poisoned}" if word.startswith(f"--{read}=") else word
        for word in arguments_of(stage, family, place, out=f"{stage}-poisoned")
    ]
    done = warm.run(arguments, ROOT, 600)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: "), done.stderr
    assert re.search(r"\bfinite\b|\bnan\b", done.stderr.strip().splitlines()[-1])
    assert "JSON" not in done.stderr and "Traceback" not in done.stderr
    assert not (place / f"{stage}-poisoned").exists()
    assert not (place / f"{stage}-poisoned.json").exists()


def test_infinite_gradients_of_a_finite_loss_change_no_weight(tmp_path: Path) -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    section = params.load("sentiment", ROOT / "params.yaml").finetune
    optimization = Optimization(
        network, [{"params": list(network.parameters()), "lr": 0.1}], 10, section
    )
    checkpoint = Checkpoint(tmp_path / "model", "same", 1)
    optimization.watched("finetune", checkpoint)
    loss = network.weight.abs().sqrt().sum()  # its slope at 0 has no end
    loss.backward()
    with pytest.raises(NotFiniteError, match="finetune: step 1 of 10: the gradients' length is"):
        optimization.step(loss.item())
    assert network.weight.item() == 0


def test_a_state_that_is_not_finite_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "model", "same", 1)
    checkpoint.save({"step": 1, "mean": {"w": torch.ones(3)}})
    with pytest.raises(NotFiniteError, match=r"mean\.w is not finite.*the last good checkpoint is"):
        checkpoint.save({"step": 2, "mean": {"w": torch.tensor([1.0, torch.inf, 1.0])}})
    assert checkpoint.load() is not None and not checkpoint.previous.exists()


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), 2e6])
def test_a_loss_that_runs_away_names_step_rate_and_remedy(tmp_path: Path, loss: float) -> None:
    guard = DivergenceGuard("pretrain", 9, [0.5, 0.1], "bfloat16")
    guard.loss(0, 7.0)
    guard.loss(1, 6000.0)
    with pytest.raises(NotFiniteError) as refused:
        guard.loss(4, loss)
    for part in ("pretrain: step 5 of 9", "learning rates 0.5, 0.1", "bfloat16", "float32"):
        assert part in str(refused.value)


def test_checkpoint_of_other_params_is_not_used(trained: tuple[str, Path], tmp_path: Path) -> None:
    family, place = trained
    section = params.load(family, place / "params.yaml").finetune
    module = families.module("finetune", family)
    one = fingerprint(module, section, place / "data")
    changed = section.model_copy(update={"seed": section.seed + 1})
    other = fingerprint(module, changed, place / "data")
    Checkpoint(tmp_path / "model", one, 1).save({"step": 3})
    assert Checkpoint(tmp_path / "model", one, 1).load() == {"step": 3}
    assert Checkpoint(tmp_path / "model", other, 1).load() is None


SAVING_TOO_MUCH = """
import resource
import signal
import sys
from pathlib import Path

import torch

from beauty_models.training.checkpoint import Checkpoint

# a write beyond the limit fails, as on a full disk, and does not end the process
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
Checkpoint(Path(sys.argv[1]), "same", 1).save({"step": 2, "weights": torch.zeros(1_000_000)})
"""


def test_full_disk_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "model", "same", 1)
    checkpoint.save({"step": 1})
    failed = subprocess.run(
        [sys.executable, "-c", SAVING_TOO_MUCH, str(tmp_path / "model")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert failed.returncode != 0
    assert "was not written" in failed.stderr
    assert checkpoint.load() == {"step": 1}
    assert [f.name for f in checkpoint.file.parent.iterdir()] == ["state.pt"]
