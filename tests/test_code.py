"""Which code a stage runs, and that it is stale when that code changed and never otherwise.

On real DVC, with both runners. The project here is this repository's dvc.yaml, params and package;
only the stages themselves copy a letter instead of training, so that a whole run takes seconds.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from mini import PATIENCE_S, dvc, kill_all_in, runs, set_param, started, wait_for

from beauty_models import code, families
from flows import words
from tasks.pipeline.graph import graph
from tasks.pipeline.staleness import stale_reasons, survey
from tasks.pipeline.update import update_stage

ROOT = Path(__file__).parents[1]
# Recommend is edited, and sentiment, which has a stage more, is not. Other families would show the
# same, and cost DVC as much again each; what their lists must hold is asked in test_contracts.
FAMILIES = ["recommend", "sentiment"]
ALL = [f"{verb}@{family}" for family in FAMILIES for verb in families.stages(family)]
VERBS = {name.partition("@")[0]: None for name in ALL}
UP_TO_DATE = "Data and pipelines are up to date."

STUB = '''\
"""A stage that makes what dvc.yaml says it makes, of one letter, and notes its run in runs.txt."""
import pathlib, sys, time, yaml
verb, family = sys.argv[1:]
with open("runs.txt", "a") as runs:
    runs.write(f"{verb}@{family}\\n")
patience = time.monotonic() + 600
waits = yaml.safe_load(open("params.yaml"))["families"][family][verb].get("until")
while waits and not pathlib.Path(waits).exists() and time.monotonic() < patience:
    time.sleep(0.05)
stage = yaml.safe_load(open("dvc.yaml"))["stages"][verb]["do"]
paths = stage["outs"] + stage["metrics"]
for plot in stage.get("plots", []):
    paths += plot
for made in paths:
    place = pathlib.Path(made.replace("${key}", family).replace("${item}", family))
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.suffix == ".json":
        place.write_text('{"loss": 1.5}')
    else:
        place.mkdir()
        (place / "x").write_text(verb)
'''


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the project once and run all its stages."""
    place = tmp_path_factory.mktemp("coded")
    python = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "beauty_models", place / "beauty_models", ignore=python)
    shutil.copy(ROOT / ".dvcignore", place)
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["families"] = {family: content["families"][family] for family in FAMILIES}
    content["stages"] = {
        stage: [f for f in listed if f in FAMILIES] for stage, listed in content["stages"].items()
    }
    (place / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    dag = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    for verb in VERBS:
        template = dag["stages"][verb]["do"]
        template["cmd"] = template["cmd"].replace("-m beauty_models", "work.py")
    (place / "dvc.yaml").write_text(yaml.safe_dump(dag))
    (place / "work.py").write_text(STUB)
    for family in FAMILIES:
        (place / "data/raw" / family).mkdir(parents=True)
        (place / "data/raw" / family / "x").write_text(family)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(place),
    }
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "repro", "-q"]):
        subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True)
    return place


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a copy of the project, in which nothing is stale, the current folder."""
    copy = tmp_path / "project"
    shutil.copytree(made, copy)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("PYTHONPATH", str(copy))
    yield copy
    kill_all_in(copy)


def package_file(project: Path, pattern: str) -> Path:
    """Return the file of the package in which a line matches ``pattern``, wherever it lies."""
    files = [
        file
        for file in (project / "beauty_models").rglob("*.py")
        if re.search(pattern, file.read_text(encoding="utf-8"), re.M)
    ]
    assert len(files) == 1, files
    return files[0]


def dual_encoder(project: Path) -> Path:
    return package_file(project, r"^class Dual")


def module_of(project: Path, file: Path) -> str:
    return ".".join(file.relative_to(project).with_suffix("").parts)


def edit_a_function(file: Path) -> None:
    """Put one more statement at the end of the last function, or method of the first class."""
    text = file.read_text(encoding="utf-8")
    classes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    functions = [node for node in classes[0].body if isinstance(node, ast.FunctionDef)]
    first = functions[-1].body[0]
    lines = text.splitlines(keepends=True)
    lines.insert(first.lineno - 1, " " * first.col_offset + "pass\n")
    file.write_text("".join(lines), encoding="utf-8")


def recorded_by(module: str) -> set[str]:
    """Return the stages of all families whose file names ``module``."""
    return {
        f"{verb}@{family}"
        for family in FAMILIES
        for verb in families.stages(family)
        if module in code.parse((families.path("code", family) / f"{verb}.txt").read_text())
    }


def bring_all() -> dict[str, str]:
    """Bring every stage up to date as the flow does; return the state of each."""
    stages = graph(FAMILIES)
    return {
        name: update_stage(what, PATIENCE_S, lambda line: None).state
        for name, what in stages.items()
    }


def test_an_edit_of_the_dual_encoder_names_recommend_alone_and_taken_back_is_restored(
    project: Path,
) -> None:
    file = dual_encoder(project)
    original = file.read_text(encoding="utf-8")
    module = module_of(project, file)
    edit_a_function(file)
    stages, reasons = survey(FAMILIES)
    assert sorted(stages) == sorted(reasons) == sorted(ALL)  # no word of the stages `code`
    direct = {name for name, why in reasons.items() if f"{module} changed" in why}
    assert direct == recorded_by(module)
    assert direct and {name.partition("@")[2] for name in direct} == {"recommend"}
    assert "ingest@recommend" not in direct
    stale = {name for name, why in reasons.items() if why}
    assert {name.partition("@")[2] for name in stale} == {"recommend"}
    assert reasons["ingest@recommend"] == []
    assert reasons["pretrain@recommend"] == [f"{module} changed"]
    before = len(runs())
    states = bring_all()
    assert {name for name in states if states[name] == "Completed"} == stale
    assert {states[name] for name in ALL if name not in stale} == {"Skipped"}
    assert sorted(runs()[before:]) == sorted(stale)
    assert dvc("status").strip() == UP_TO_DATE
    file.write_text(original, encoding="utf-8")
    count = len(runs())
    states = bring_all()
    assert {name for name in states if states[name] == "Restored"} == stale
    assert {states[name] for name in ALL if name not in stale} == {"Skipped"}
    assert len(runs()) == count
    assert dvc("status").strip() == UP_TO_DATE


def test_a_comment_a_docstring_and_the_formatting_make_nothing_stale(project: Path) -> None:
    for file in (dual_encoder(project), package_file(project, r"^class Checkpoint")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        assert isinstance(tree.body[0], ast.Expr)
        tree.body[0] = ast.Expr(ast.Constant("Another first line."))
        file.write_text("# A comment.\n" + ast.unparse(tree), encoding="utf-8")
    reasons = survey(FAMILIES)[1]
    assert reasons == {name: [] for name in ALL}
    assert dvc("status").strip() == UP_TO_DATE
    assert len(runs()) == len(ALL)


def test_why_names_the_module_or_says_that_the_code_changed_where_its_old_text_is_gone(
    project: Path,
) -> None:
    file = package_file(project, r"^class Checkpoint")
    edit_a_function(file)
    name = "finetune@sentiment"
    because = stale_reasons([name])[name]
    assert because == [f"{module_of(project, file)} changed", "pretrain@sentiment is stale"]
    recorded = yaml.safe_load(Path("dvc.lock").read_text())["stages"][name]["deps"]
    (oid,) = [dep["md5"] for dep in recorded if dep["path"].endswith("finetune.txt")]
    (project / ".dvc/cache/files/md5" / oid[:2] / oid[2:]).unlink()
    assert stale_reasons([name])[name] == ["its code changed", "pretrain@sentiment is stale"]


def test_an_upgrade_names_the_modules_nearest_to_the_stage_first(project: Path) -> None:
    """And many of them are one line on the screen."""
    for file in (project / "beauty_models").rglob("*.py"):
        file.write_text(file.read_text(encoding="utf-8") + "\nUPGRADED = True\n", encoding="utf-8")
    name = "finetune@sentiment"
    reasons = stale_reasons([name])[name]
    changed = [reason for reason in reasons if reason.endswith(" changed")]
    recorded = code.parse((families.path("code", "sentiment") / "finetune.txt").read_text())
    assert sorted(changed) == sorted(f"{module} changed" for module in recorded)
    order = [reason.removesuffix(" changed") for reason in changed]
    own = "beauty_models.sentiment"
    assert order[0] == f"{own}.finetune"
    # what the function's module imports, its own family's first, and then what only these import
    assert order.index(f"{own}.model") < 5 < order.index("beauty_models.files")
    assert order.index("beauty_models.training.loop") < order.index("beauty_models.code")
    shown, *others = words.because(reasons, "sentiment")
    assert shown == (
        f"{len(order)} modules changed: {', '.join(order[:5])} and {len(order) - 5} more "
        "(`beauty why sentiment --json` names all)"
    )
    assert others == [reason for reason in reasons if reason not in changed]
    with pytest.raises(ValueError, match=rf"^{own}\.finetune, .* and \d+ more: changed since"):
        _check_against_an_empty_list("finetune", "sentiment")


def _check_against_an_empty_list(stage: str, family: str) -> None:
    """Ask for a stage whose recorded code has no module in common with the present one."""
    (families.path("code", family) / f"{stage}.txt").write_text("")
    code.check(stage, family)


def test_a_module_that_does_not_parse_concerns_the_stages_that_run_it(project: Path) -> None:
    file = dual_encoder(project)
    module = module_of(project, file)
    file.write_text("def broken(:\n", encoding="utf-8")
    reasons = survey(FAMILIES)[1]
    assert reasons["pretrain@recommend"] == [f"{module} changed"]
    assert {name.partition("@")[2] for name in ALL if reasons[name]} == {"recommend"}


def test_deleted_outputs_of_code_are_restored(project: Path) -> None:
    shutil.rmtree("build")
    assert set(bring_all().values()) == {"Restored"}
    assert dvc("status").strip() == UP_TO_DATE
    assert len(runs()) == len(ALL)


def test_nothing_is_started_for_code_that_did_not_change(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.pipeline import child

    monkeypatch.setattr(child, "run", None)
    assert not any(survey(FAMILIES)[1].values())
    assert set(bring_all().values()) == {"Skipped"}


def test_flow_and_repro_agree_after_edits_of_code(project: Path, prefect_server: str) -> None:
    from flows.retrain import run

    def flow() -> dict[str, str]:
        heard: set[str] = set()
        outcome = run(None, lambda kind, verb, *rest: heard.add(verb), only_stages=True)
        assert "code" not in heard
        rows = {f"{row['stage']}@{row['family']}": row["state"] for row in outcome["stages"]}
        assert sorted(rows) == sorted(ALL)
        return rows

    file = dual_encoder(project)
    file.write_text(file.read_text() + "# a comment\n")
    assert set(flow().values()) == {"Skipped"}
    assert dvc("status").strip() == UP_TO_DATE
    edit_a_function(file)
    rows = flow()
    assert {name for name in rows if rows[name] == "Completed"} == {
        "pretrain@recommend",
        "finetune@recommend",
        "evaluate@recommend",
    }
    assert dvc("status").strip() == UP_TO_DATE
    assert "Running stage" not in dvc("repro")
    edit_a_function(file)
    dvc("repro", "-q")
    assert set(flow().values()) == {"Skipped"}


def test_code_that_changes_while_its_stage_runs_is_noticed(project: Path) -> None:
    file = dual_encoder(project)
    module, before = module_of(project, file), file.read_text(encoding="utf-8")
    name = "pretrain@recommend"
    other = package_file(project, r"^def near_duplicates\(texts").parent / "unused.py"
    for edited in (other, file):
        set_param("recommend", "pretrain", until=edited.name)
        Path("runs.txt").unlink()
        script = (
            "from tasks.pipeline.graph import graph\n"
            "from tasks.pipeline.update import update_stage\n"
            f"what = graph(['recommend'])['{name}']\n"
            f"update_stage(what, {PATIENCE_S}, print)\n"
        )
        environment = {**os.environ, "PYTHONPATH": f"{project}:{ROOT}"}
        with started([sys.executable, "-c", script], environment) as process:
            wait_for("runs.txt")
            if edited == file:
                edit_a_function(file)
            else:
                other.write_text('"""No stage runs this."""\n')
            Path(edited.name).touch()  # only now may the stage end
            errors = process.communicate(timeout=PATIENCE_S)[1]
        if edited == other:
            assert process.returncode == 0, errors
    assert f"{name}: {module} changed while the stage ran; its result was not recorded" in errors
    assert stale_reasons([name])[name][0] == "never run"
    file.write_text(before, encoding="utf-8")
    what = graph(["recommend"])[name]
    assert update_stage(what, PATIENCE_S, lambda line: None).state == "Completed"


def test_why_does_not_wait_for_a_stage_that_runs(project: Path) -> None:
    set_param("recommend", "pretrain", until="go")
    Path("runs.txt").unlink()
    with started([sys.executable, "-m", "dvc", "repro", "pretrain@recommend"]) as training:
        wait_for("runs.txt")
        file = dual_encoder(project)
        file.write_text(file.read_text() + "# a comment\n")
        reasons = survey(FAMILIES)[1]
        assert training.poll() is None
        Path("go").touch()
        errors = training.communicate(timeout=PATIENCE_S)[1]
    assert training.returncode == 0, errors
    assert reasons["ingest@recommend"] == ["code@recommend is stale"]  # nobody can say more yet
    assert reasons["ingest@sentiment"] == []
    reasons = survey(FAMILIES)[1]
    assert reasons["ingest@recommend"] == reasons["pretrain@recommend"] == []


def test_a_stage_does_not_run_other_code_than_it_would_be_recorded_under(project: Path) -> None:
    file = package_file(project, r"^class Checkpoint")
    edit_a_function(file)
    command = [sys.executable, "-m", "beauty_models", "pretrain", "sentiment"]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"error: {module_of(project, file)}: changed since build/")
    assert "run it again by `beauty retrain sentiment` or `dvc repro`" in refused.stderr


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of a few lines in place of the real one; return its folder."""
    files = {
        "__init__.py": "",
        "__main__.py": "import beauty_models.params",
        "params.py": "import numpy",
        "hair/__init__.py": "from beauty_models.params import Section",
        "hair/model.py": "def load():\n    from ..rooms import lazy",
        "hair/finetune.py": "from beauty_models.hair.model import load",
        "hair/page.py": "",
        "rooms/__init__.py": "",
        "rooms/lazy.py": "import beauty_models.rooms.deep.end",
        "rooms/deep/__init__.py": "",
        "rooms/deep/end.py": "",
        "rooms/unused.py": "",
    }
    folder = tmp_path / "beauty_models"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(code, "PACKAGE", folder)
    return folder


def test_the_closure_has_package_files_imports_in_functions_and_nothing_else(package: Path) -> None:
    assert list(code.digests("beauty_models.hair.finetune")) == [
        "beauty_models",
        "beauty_models.__main__",
        "beauty_models.hair",
        "beauty_models.hair.finetune",
        "beauty_models.hair.model",
        "beauty_models.params",
        "beauty_models.rooms",
        "beauty_models.rooms.deep",
        "beauty_models.rooms.deep.end",
        "beauty_models.rooms.lazy",
    ]
    with pytest.raises(ValueError, match=r"beauty_models/hair/pretrain\.py: not there"):
        code.digests("beauty_models.hair.pretrain")


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("a = 1", "a = 1  # one", True),
        ("a = 1", '"""A number."""\na = 1\n"""It is one."""', True),
        (
            "def f(a):\n    return a",
            'def f(\n    a,\n):\n    """Give it back."""\n    return a',
            True,
        ),
        ("a = 1", "a = 2", False),
        ("a = 'x'", "a = 'y'", False),
        ("def f(a):\n    return a", "def f(a=1):\n    return a", False),
        ("a = [", "a = [  # open", False),
    ],
)
def test_what_changes_a_module_s_hash(package: Path, before: str, after: str, same: bool) -> None:
    hashes = []
    for text in (before, after):
        (package / "hair/finetune.py").write_text(text)
        hashes.append(code.digests("beauty_models.hair.finetune")["beauty_models.hair.finetune"])
    assert (hashes[0] == hashes[1]) == same


def test_code_is_written_without_torch(project: Path) -> None:
    script = (
        "import sys; from beauty_models.__main__ import main; main(['code', 'tryon']);"
        "print([name for name in ('torch', 'numpy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


FINGERPRINTS = """
import json, sys
from pathlib import Path
from beauty_models import families, params
from beauty_models.training.checkpoint import fingerprint
print(json.dumps({
    f"{stage}@{family}": fingerprint(
        families.module(stage, family), getattr(params.load(family), stage), Path("data/raw")
    )
    for family in params.read(Path("params.yaml")) for stage in ("pretrain", "finetune")
}))
"""


def fingerprints() -> Any:
    command = [sys.executable, "-c", FINGERPRINTS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_checkpoint_survives_an_edit_of_a_report_and_not_of_its_training_loop(
    project: Path,
) -> None:
    before = fingerprints()
    pages = [
        page
        for family in FAMILIES
        for page in (project / "beauty_models" / family).rglob("*.py")
        if "report" in str(page.relative_to(project))
    ]
    assert len(pages) >= len(FAMILIES)
    for page in pages:
        page.write_text(page.read_text() + "\nEDITED = True\n")
    assert fingerprints() == before
    edit_a_function(package_file(project, r"^class Checkpoint"))  # every training runs this
    after = fingerprints()
    assert {name for name in before if after[name] != before[name]} == set(before)
    edit_a_function(dual_encoder(project))
    changed = {name for name, value in fingerprints().items() if value != after[name]}
    assert changed == {"pretrain@recommend", "finetune@recommend"}
