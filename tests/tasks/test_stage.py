"""`tasks.pipeline.staleness` and `tasks.pipeline.update` on real DVC.

Why a stage is stale, what bringing it up to date leaves behind, and how it ends early.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from mini import PATIENCE_S, dvc, gone, runs, set_param, started, wait_for

from tasks.pipeline import child, repro
from tasks.pipeline.graph import graph
from tasks.pipeline.staleness import stale_reasons
from tasks.pipeline.update import update_stage

FAMILIES = ["lips", "nails"]
ALL = ["ingest@lips", "pretrain@lips", "ingest@nails", "pretrain@nails"]


def bring(
    name: str,
    lines: list[str] | None = None,
    timeout_s: float = PATIENCE_S,
    stop: threading.Event | None = None,
) -> str:
    said = lines if lines is not None else []
    return update_stage(graph(FAMILIES)[name], timeout_s, said.append, stop).state


def test_graph_has_real_edges_meta_and_order(project: Path) -> None:
    found = graph(["lips"])
    assert [name for name in found if not found[name].source] == ["ingest@lips", "pretrain@lips"]
    last = found["pretrain@lips"]
    assert (last.verb, last.family, last.tags, last.retries, last.timeout_hours) == (
        "pretrain",
        "lips",
        ("gpu",),
        0,
        1,
    )
    assert last.needs == ("ingest@lips",)
    assert found["ingest@lips"].needs == ("data/raw/lips.dvc",)


def test_reasons_name_the_key_the_path_and_the_stage_before(project: Path) -> None:
    assert stale_reasons(["pretrain@lips"]) == {
        "pretrain@lips": ["never run", "ingest@lips is stale"]
    }
    dvc("repro", "-q")
    assert stale_reasons(ALL) == {name: [] for name in ALL}
    set_param("lips", "ingest", n=3, extra={"deep": 0.5})
    assert stale_reasons(["ingest@lips", "pretrain@lips", "ingest@nails"]) == {
        "ingest@lips": [
            "params.yaml families.lips.ingest.extra.deep: nothing → 0.5",
            "params.yaml families.lips.ingest.n: 1 → 3",
        ],
        "pretrain@lips": ["ingest@lips is stale"],
        "ingest@nails": [],
    }
    (project / "build/nails/data/x").write_text("scribble")
    (project / "build/nails/pretrained/x").unlink()
    (project / "build/nails/pretrained").rmdir()
    reasons = stale_reasons(["ingest@nails", "pretrain@nails"])
    assert reasons["ingest@nails"] == ["build/nails/data is not what this stage made"]
    assert reasons["pretrain@nails"] == [
        "build/nails/data changed",
        "build/nails/pretrained is missing",
        "ingest@nails is stale",
    ]
    with pytest.raises(ValueError, match="no stage finetune@lips; there are: .*ingest@lips"):
        stale_reasons(["finetune@lips"])


def test_runs_skips_and_restores_as_dvc_does(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    assert bring("ingest@lips", lines) == "Completed"
    assert "progress: 0.5000 ingest: half" in lines
    set_param("lips", "ingest", n=2)
    assert bring("ingest@lips") == "Completed"
    set_param("lips", "ingest", n=1)
    assert bring("ingest@lips") == "Restored"
    assert (project / "build/lips/data/x").read_text() == "lipsa"
    monkeypatch.setattr(child, "run", None)  # an up-to-date stage starts no child
    assert bring("ingest@lips") == "Skipped"
    assert runs() == ["ingest@lips"] * 2


def test_a_mistake_of_the_user_comes_first_and_a_crash_shows_its_last_lines(project: Path) -> None:
    set_param("lips", "ingest", mistake="data/raw/lips/x: row 7 has no text; add one")
    with pytest.raises(
        ValueError, match="^ingest@lips: error: data/raw/lips/x: row 7 has no text; add one\n"
    ):
        bring("ingest@lips")
    set_param("lips", "ingest", mistake=None, crash=True)
    with pytest.raises(RuntimeError, match="^ingest@lips: failed with exit code") as failed:
        bring("ingest@lips")
    assert "line 29" in str(failed.value)
    assert len(str(failed.value).splitlines()) == 1 + repro.TAIL_LINES


@pytest.mark.parametrize("how", ["timeout", "stop", "exception"])
def test_an_early_end_leaves_no_process_and_no_lock(
    project: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(child, "GRACE_S", 0.3)  # the grandchild ignores TERM
    set_param("lips", "ingest", sleep=600, grandchild=True)
    stop = threading.Event()

    def hear(line: str) -> None:
        if line.startswith("progress") and how == "exception":
            raise KeyboardInterrupt
        if line.startswith("progress") and how == "stop":
            stop.set()

    kind = {"timeout": TimeoutError, "stop": child.StoppedError, "exception": KeyboardInterrupt}[
        how
    ]
    limit = 3.0 if how == "timeout" else PATIENCE_S
    while True:
        with pytest.raises(kind):
            update_stage(graph(FAMILIES)["ingest@lips"], limit, hear, stop)
        if Path("grandchild.pid").exists():
            break
        limit *= 2  # a busy machine had not even started the stage
    assert gone(int(Path("grandchild.pid").read_text()))
    set_param("lips", "ingest", sleep=0, grandchild=None)
    assert bring("ingest@lips") == "Completed"
    assert dvc("status", "ingest@lips").strip() == "Data and pipelines are up to date."


def test_a_killed_dvc_blocks_nothing(project: Path) -> None:
    set_param("lips", "ingest", sleep=600)
    script = (
        "from tasks.pipeline.graph import graph\n"
        "from tasks.pipeline.update import update_stage\n"
        "update_stage(graph(['lips'])['ingest@lips'], 600, print)"
    )
    with started([sys.executable, "-c", script]) as flow:
        wait_for("runs.txt")
        holder = json.loads(Path(".dvc/tmp/rwlock").read_text())["write"][
            str(project / "build/lips/data")
        ]
        flow.kill()
    with suppress(ProcessLookupError):
        os.killpg(holder["pid"], signal.SIGKILL)
    set_param("lips", "ingest", sleep=0)
    recycled = {
        str(project / "build/lips/data"): {**holder, "pid": os.getpid()}
    }  # another program has that number now
    Path(".dvc/tmp/rwlock").write_text(json.dumps({"write": recycled}))
    assert bring("ingest@lips") == "Completed"


@pytest.mark.parametrize("damage", ["emptied", "half", "zeros"])
def test_a_damaged_dvc_lock_costs_no_run(
    project: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dvc("repro", "-q")
    done = runs()
    whole = Path("dvc.lock").read_bytes()
    half = whole[: whole.index(b"outs:") + 2]
    damaged = {"emptied": b"", "half": half, "zeros": bytes(len(whole))}[damage]
    Path("dvc.lock").write_bytes(damaged)
    assert {bring(name) for name in ALL} == {"Restored"}
    assert runs() == done
    assert dvc("status").strip() == "Data and pipelines are up to date."
    assert Path(".beauty/dvc.lock.damaged").read_bytes() == damaged
    assert "dvc.lock was damaged" in capsys.readouterr().err


def test_a_half_merged_dvc_lock_is_left_to_its_owner(project: Path) -> None:
    dvc("repro", "-q")
    merged = "<<<<<<< HEAD\n" + Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(merged)
    with pytest.raises(ValueError, match="dvc.lock"):
        bring("ingest@lips")
    assert Path("dvc.lock").read_text() == merged


def test_a_dvc_lock_that_git_ignores_is_not_called_damaged(project: Path) -> None:
    dvc("repro", "-q")
    Path(".gitignore").write_text("dvc.lock\n")
    with pytest.raises(ValueError, match="git-ignored"):
        bring("ingest@lips")
    assert Path("dvc.lock").exists()
    assert not Path(".beauty/dvc.lock.damaged").exists()


def test_waits_for_a_dvc_of_somebody_else(project: Path) -> None:
    set_param("lips", "ingest", until="go")
    heard: list[str] = []

    def hear(line: str) -> None:
        heard.append(line)
        if line.startswith("waiting: another DVC"):
            Path("go").touch()  # only now may the other one end

    with started([sys.executable, "-m", "dvc", "repro", "ingest@lips"]) as other:
        wait_for("runs.txt")
        node = graph(FAMILIES)["ingest@lips"]
        assert update_stage(node, PATIENCE_S, hear).state == "Skipped"
        errors = other.communicate(timeout=PATIENCE_S)[1]
    assert other.returncode == 0, errors
    assert "waiting: another DVC process uses the same paths" in heard
    assert runs() == ["ingest@lips"]


@pytest.mark.parametrize("what", ["params.yaml", "work.py", "data/raw/lips"])
def test_an_input_that_changes_while_the_stage_runs_is_noticed(project: Path, what: str) -> None:
    set_param("lips", "ingest", until="edited")
    files = {
        "params.yaml": project / "params.yaml",
        "work.py": project / "work.py",
        "data/raw/lips": project / "data/raw/lips/x",
    }
    before = files[what].read_text()

    def edit() -> None:
        wait_for("runs.txt")
        files[what].write_text(before.replace("n: 1", "n: 2") + "\n")
        Path("edited").touch()  # only now may the stage end

    editor = threading.Thread(target=edit)
    editor.start()
    try:
        changed = f"ingest@lips: {what} changed while the stage ran"
        with pytest.raises(RuntimeError, match=changed):
            bring("ingest@lips")
    finally:
        editor.join()
    assert stale_reasons(["ingest@lips"])["ingest@lips"][0] == "never run"
    assert bring("ingest@lips") == "Completed"  # and not the wrong result out of the run cache
    files[what].write_text(before)
    assert bring("ingest@lips") == "Completed"
    assert len(runs()) == 3


def test_a_build_that_is_not_what_was_recorded_is_not_registered(project: Path) -> None:
    from tasks.registry import register

    dvc("repro", "-q")
    register._check_build("lips")
    (project / "build/lips/pretrained/x").write_text("another model")
    with pytest.raises(ValueError, match=r"pretrained is not what this stage made.*beauty retrain"):
        register._check_build("lips")
    dvc("checkout", "-q", "--force")
    set_param("lips", "ingest", n=3)  # the params that would be registered are not the model's
    with pytest.raises(ValueError, match=r"ingest@lips: params.yaml families.lips.ingest.n: 1 → 3"):
        register._check_build("lips")
    register._check_build("nails")
