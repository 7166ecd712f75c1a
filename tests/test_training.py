"""Every family learns its toy data, gives the same numbers twice, and survives ``kill -9`` with the same weights."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from beauty_models import families, params
from beauty_models.common.files import read_json

ROOT = Path(__file__).parents[1]
FAMILIES = families.names()


def toy_params(folder: Path) -> Path:
    """Write params.yaml with the toy profile laid over it, checkpoints as often as steps; return the file."""
    merged = params.merge(
        params.read(ROOT / "params.yaml"), params.read(ROOT / "profiles/toy.yaml")
    )
    often = {"checkpoint_minutes": 1e-6}
    merged = {
        family: params.merge(block, {"pretrain": often, "finetune": often})
        for family, block in merged.items()
    }
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump({"families": merged}, allow_unicode=True), encoding="utf-8")
    return file


def command(stage: str, family: str, place: Path, out: str = "") -> list[str]:
    """Return the command of a stage whose paths all lie in ``place``; ``out`` renames the one it writes."""
    names = (
        families.path_names(families.function(stage, family))
        if stage in families.STAGES
        else ["raw"]
    )
    written = families.STAGES.get(stage)
    paths = [f"--{name}={place / (out if out and name == written else name)}" for name in names]
    extra = (
        []
        if stage == "toy"
        else ["--params", str(place / "params.yaml"), "--metrics", str(place / f"{stage}.json")]
    )
    return [sys.executable, "-m", "beauty_models", stage, family, *paths, *extra]


def run(*arguments: str) -> None:
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def weights(folder: Path) -> dict[str, str]:
    """Return the hash of every weights file in ``folder``, of which there is one at least."""
    found = {
        str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in sorted(folder.rglob("*.safetensors"))
    }
    assert found
    return found


@pytest.fixture(scope="module", params=FAMILIES)
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """One family taken through all its stages on toy data."""
    family, place = request.param, tmp_path_factory.mktemp(request.param)
    toy_params(place)
    run(*command("toy", family, place))
    for stage in families.STAGES:
        run(*command(stage, family, place))
    return family, place


def test_learns_its_toy_data(trained: tuple[str, Path]) -> None:
    family, place = trained
    gate, figures = (
        params.load(family, place / "params.yaml").gate,
        read_json(place / "evaluate.json"),
    )
    assert figures[gate.metric] > 0.9
    assert (
        min(value for name, value in figures.items() if name.endswith(f"/{gate.metric}")) < 0.6
    ), "chance must not do as well"
    assert figures[f"{gate.metric}.low"] <= figures[gate.metric] <= figures[f"{gate.metric}.high"]


def test_pretraining_lowers_its_loss(trained: tuple[str, Path]) -> None:
    figures = read_json(trained[1] / "pretrain.json")
    assert figures["loss_after"] < 0.9 * figures["loss_before"]


@pytest.mark.parametrize("stage", ["ingest", "pretrain", "finetune"])
def test_same_input_gives_the_same_bytes(trained: tuple[str, Path], stage: str) -> None:
    family, place = trained
    out = families.STAGES[stage]
    run(*command(stage, family, place, out=f"{out}-again"))
    for file in sorted(f for f in (place / out).rglob("*") if f.is_file()):
        assert (
            file.read_bytes()
            == (place / f"{out}-again" / file.relative_to(place / out)).read_bytes()
        ), file.name


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_killed_stage_resumes_and_ends_with_the_same_weights(
    trained: tuple[str, Path], stage: str
) -> None:
    family, place = trained
    out = f"{families.STAGES[stage]}-killed"
    checkpoint = place / f"{out}.checkpoint" / "state.pt"
    arguments = command(stage, family, place, out)
    process = subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    seen: set[int] = set()
    while len(seen) < 4:  # some steps in, not only at the first checkpoint
        assert process.poll() is None, "the stage ended before it could be killed"
        if checkpoint.exists():
            seen.add(checkpoint.stat().st_mtime_ns)
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (place / out).exists(), "a half-written output"
    log = subprocess.run(
        arguments, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
    ).stdout
    assert (
        log.partition(": resuming ")[0].splitlines()[-1].startswith(stage) and ": resuming " in log
    )
    assert weights(place / out) == weights(place / families.STAGES[stage])
    assert not checkpoint.exists()


def test_checkpoint_of_other_params_is_not_used(trained: tuple[str, Path], tmp_path: Path) -> None:
    from beauty_models.checkpoint import Checkpoint, fingerprint

    family, place = trained
    section = params.load(family, place / "params.yaml").finetune
    one = fingerprint(section, place / "data")
    other = fingerprint(section.model_copy(update={"seed": section.seed + 1}), place / "data")
    Checkpoint(tmp_path / "model", one, 1).save({"step": 3})
    assert Checkpoint(tmp_path / "model", one, 1).load() == {"step": 3}
    assert Checkpoint(tmp_path / "model", other, 1).load() is None


def test_full_disk_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    import torch

    from beauty_models.checkpoint import Checkpoint

    checkpoint = Checkpoint(tmp_path / "model", "same", 1)
    checkpoint.save({"step": 1})
    code = (
        "import resource, sys, signal, torch; from pathlib import Path; from beauty_models.checkpoint import Checkpoint\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "Checkpoint(Path(sys.argv[1]), 'same', 1).save({'step': 2, 'weights': torch.zeros(1_000_000)})"
    )
    failed = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert failed.returncode != 0
    assert "was not written" in failed.stderr
    assert checkpoint.load() == {"step": 1}
    assert [f.name for f in checkpoint.file.parent.iterdir()] == ["state.pt"]
    assert torch.load(checkpoint.file, weights_only=True)["step"] == 1
