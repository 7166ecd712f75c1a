"""The walls of the house: params, profiles, signatures, dvc.yaml, imports and the README agree with
each other.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from beauty_models import code, families, params
from beauty_models.__main__ import TRAINING, main

ROOT = Path(__file__).parents[1]
FAMILIES = families.names()
STAGES = [(family, stage) for family in FAMILIES for stage in families.stages(family)]
GROUND = {"code", "device", "families", "files", "packages", "params", "progress"}
ROOMS: dict[str, set[str]] = {
    "backbones": set(),
    "evaluation": set(),
    "intake": set(),
    "retrieval": set(),
    "serving": {"intake"},
    "training": {"backbones", "intake"},
}
"""Room of beauty_models → the rooms that it may import, besides itself and the ground floor."""
DAG = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def imports(file: Path) -> set[str]:
    """Return the modules that ``file`` imports, wherever in the file it does."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def closure(file: Path, seen: set[Path]) -> set[Path]:
    """Return ``file`` and every file of this project that it imports, directly or not, package
    files included.
    """
    if file in seen:
        return seen
    seen.add(file)
    for module in imports(file):
        for candidate in (
            ROOT / (module.replace(".", "/") + ".py"),
            ROOT / module.replace(".", "/") / "__init__.py",
        ):
            if candidate.exists():
                closure(candidate, seen)
    return seen


def stamped(text: str, family: str) -> str:
    return text.replace("${key}", family).replace("${item}", family)


def test_families_and_params_blocks_are_the_same() -> None:
    assert sorted(params.read(ROOT / "params.yaml")) == FAMILIES


@pytest.mark.parametrize(
    "profile", sorted((ROOT / "profiles").glob("*.yaml")), ids=lambda p: p.stem
)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_profile_validates(family: str, profile: Path) -> None:
    overlay = params.read(profile)
    assert set(overlay) <= set(FAMILIES)
    base = params.read(ROOT / "params.yaml")[family]
    merged = params.merge(base, overlay.get(family, {}))
    params.check(family, merged, profile)
    if (
        family in overlay and profile.stem != "own"
    ):  # which pins values that the starter may have too
        assert merged != base, f"{profile.name} changes nothing for {family}"


@pytest.mark.parametrize("family", FAMILIES)
def test_unknown_and_missing_keys_are_named(family: str) -> None:
    block = params.read(ROOT / "params.yaml")[family]
    with pytest.raises(ValueError, match=rf"families\.{family}\.finetune\.lr: "):
        params.check(family, params.merge(block, {"finetune": {"lr": 1}}))
    with pytest.raises(ValueError, match=rf"families\.{family}\.gate\.floor: "):
        params.check(
            family, {**block, "gate": {k: v for k, v in block["gate"].items() if k != "floor"}}
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_gate_from_before_it_listed_baselines_is_told_what_to_add(
    family: str, tmp_path: Path
) -> None:
    content = {"families": params.read(ROOT / "params.yaml")}
    for key in ("larger_is_better", "baselines"):
        del content["families"][family]["gate"][key]
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    told = rf"families\.{family}\.gate: .*add `larger_is_better: true` .* and `baselines: \[NAME, "
    for read in (params.load, params.gate):
        with pytest.raises(ValueError, match=told):
            read(family, file)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_report_takes_the_gates_metric_in_the_gates_direction(family: str) -> None:
    """Evaluate does not read the gate, so the direction is written twice."""
    gate = params.gate(family, ROOT / "params.yaml")
    if not (ROOT / "beauty_models" / family / "report/declared.py").exists():
        pytest.skip("its report declares no metrics")
    declared = import_module(f"beauty_models.{family}.report.declared").METRICS
    judged = [m for m in declared if f"_{gate.metric}".endswith(f"_{m.name}")]
    assert [metric.larger_is_better for metric in judged] == [gate.larger_is_better]


@pytest.mark.parametrize(("family", "stage"), STAGES)
def test_stage_signature(family: str, stage: str) -> None:
    signature = inspect.signature(families.function(stage, family))
    *paths, section = signature.parameters.values()
    assert all(p.kind is p.KEYWORD_ONLY for p in signature.parameters.values())
    assert all(p.annotation == "Path" for p in paths)
    assert section.name == "params"
    assert signature.return_annotation == "Metrics"
    known = import_module(f"beauty_models.{family}").Params.model_fields[stage].annotation
    assert section.annotation == known.__name__


@pytest.mark.parametrize(("family", "stage"), STAGES)
def test_dvc_yaml_names_the_paths_of_the_signature(family: str, stage: str) -> None:
    template = DAG[stage]["do"]
    wanted = {
        str(families.path(name, family))
        for name in families.path_names(families.function(stage, family))
    }
    deps = {stamped(dep, family) for dep in template["deps"]}
    code_file = f"{families.path('code', family)}/{stage}.txt"
    assert code_file in deps
    deps -= {code_file}
    figures = f"metrics/{family}/{stage}.json"
    outs = {stamped(out, family) for out in template["outs"]}
    assert figures in outs
    outs -= {figures}
    assert deps | outs == wanted
    assert outs == {str(families.path(families.stages(family)[stage], family))}
    assert [stamped(m, family) for m in template["metrics"]] == [
        f"metrics/{family}/brief/{stage}.json"
    ]
    curves = [stamped(path, family) for plot in template.get("plots", []) for path in plot]
    assert set(curves) <= {f"metrics/{family}/curves/{stage}"}
    if stage in families.STAGES:
        assert bool(curves) == (stage in TRAINING)
    assert stamped(template["cmd"], family) == f"python -m beauty_models {stage} {family}"
    assert [stamped(p, family) for p in template["params"]] == [f"families.{family}.{stage}"]


def test_an_optional_stage_is_stamped_for_the_families_that_params_list() -> None:
    optional = {stage for _, stage in STAGES} - set(families.STAGES)
    assert optional
    assert set(params.stages(ROOT / "params.yaml")) == optional
    for stage in optional:
        assert DAG[stage]["foreach"] == f"${{stages.{stage}}}"


def _with_stages(file: Path, stages: dict[str, Any]) -> Path:
    """Write this project's families with these optional ``stages`` to ``file``; return it."""
    content = {"stages": stages, "families": params.read(ROOT / "params.yaml")}
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def test_an_optional_stage_that_is_not_listed_is_told(tmp_path: Path) -> None:
    stages = dict(params.stages(ROOT / "params.yaml"))
    del stages["export"]
    file = _with_stages(tmp_path / "params.yaml", stages)
    remedy = r"needs `stages: \{export: \[sentiment\]\}` beside `families:`, or `export: \[\]`"
    with pytest.raises(ValueError, match=remedy):
        params.chosen(None, file)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ({"export": None}, r"needs `stages: \{export: \[sentiment\]\}`"),
        ({"export": ["lips"]}, r"stages\.export: there is no block families\.lips"),
        ({"export": ["lips"]}, r"and no such family, only .*tryon.*; take it out of the list"),
        ({"export": ["tryon"]}, r"stages\.export: tryon has no stage of that name"),
        ({"export": [], "polish": ["sentiment"]}, r"stages\.polish: sentiment has no stage"),
        ({"polish": ["sentiment"]}, r"no family has one; there are .*export.*: write one of these"),
        ({"polish": []}, r"stages\.polish: no family has one; there are .*export"),
        # all of it at once
        ({"export": ["lips", "tryon"], "polish": []}, r"(?s)lips.*tryon has no stage.*polish"),
        (
            {"export": [["sentiment"]]},
            r"stages\.export: a list of families .*got \[\['sentiment'\]\]",
        ),
        ({"export": [], "polish": 3}, r"stages\.polish: a list of families .*\(got 3\)"),
        ({"export": [], "polish": "sentiment"}, r"stages\.polish: a list of families"),
    ],
)
def test_optional_stages_that_nobody_can_run_are_refused(
    tmp_path: Path, stages: dict[str, Any], message: str
) -> None:
    # over the project's own, so that a stage more changes no message
    all_stages = params.stages(ROOT / "params.yaml") | stages
    file = _with_stages(tmp_path / "params.yaml", all_stages)
    with pytest.raises(ValueError, match=message):
        params.chosen(None, file)
    # what asks a registered model runs no stage
    assert params.known("sentiment", file) == "sentiment"


def test_dvc_yaml_lists_code_in_one_place() -> None:
    template = DAG["code"]["do"]
    assert template["cmd"] == "python -m beauty_models code ${key}"
    assert template["deps"] == ["beauty_models"]
    assert template["outs"] == [str(families.path("code", "${key}"))]
    others = [dep for _, name in STAGES for dep in DAG[name]["do"]["deps"]]
    assert not [dep for dep in others if dep.startswith("beauty_models")]


def test_the_package_holds_nothing_but_code_and_model_cards() -> None:
    """Another file that a stage reads would be in no list of its code."""
    ignored = {"__pycache__"}
    files = [f for f in (ROOT / "beauty_models").rglob("*") if f.is_file()]
    others = [f for f in files if f.suffix not in (".py", ".md") and not ignored & set(f.parts)]
    assert [f.name for f in others] == ["py.typed"]


IMPORTED = """
import ast, json, sys
from contextlib import suppress
from importlib import import_module
from beauty_models import families

def loaded():
    return {name for name in sys.modules if name.partition(".")[0] == "beauty_models"}

def inside_functions(module):
    with open(sys.modules[module].__file__, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for node in {node for function in functions for node in ast.walk(function)}:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module

answer = {}
for family in families.names():
    for stage in families.stages(family):
        for name in loaded():
            del sys.modules[name]  # other libraries stay: torch is loaded once for all stages
        import_module("beauty_models.__main__")
        import_module(f"beauty_models.{family}")
        import_module(families.module(stage, family))
        at_once, seen = loaded(), set()
        while new := loaded() - seen:
            seen |= new
            for name in {name for module in new for name in inside_functions(module)}:
                if name.startswith("beauty_models"):
                    with suppress(ModuleNotFoundError):  # it is no module but a name in one
                        import_module(name)
        answer[f"{stage}@{family}"] = [sorted(at_once), sorted(loaded())]
print(json.dumps(answer))
"""


def test_recorded_code_is_what_a_stage_imports() -> None:
    """All that is imported at once is recorded, and nothing but that and what functions import."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    answer = json.loads(done.stdout)
    assert len(answer) == len(STAGES)
    for name, (at_once, at_most) in answer.items():
        stage, _, family = name.partition("@")
        recorded = set(code.digests(families.module(stage, family)))
        assert set(at_once) <= recorded, name
        assert recorded == set(at_most), name


FORBIDDEN = {
    "beauty_models": {"tasks", "flows", "cli", "prefect", "dvc", "mlflow"},
    "tasks": {"flows", "cli", "torch", "transformers", "diffusers", "open_clip"},
    "flows": {"cli", "torch", "transformers", "diffusers", "open_clip"},
    "cli": {"torch", "transformers", "diffusers", "open_clip"},
}


@pytest.mark.parametrize("layer", FORBIDDEN)
def test_imports_point_one_way(layer: str) -> None:
    found = {
        f"{file.relative_to(ROOT)} imports {module}"
        for file in (ROOT / layer).rglob("*.py")
        for module in imports(file)
        if module.split(".")[0] in FORBIDDEN[layer]
    }
    assert found == set()


def rooms_imported(file: Path) -> set[str]:
    """Return the first names below ``beauty_models`` that ``file`` imports."""
    return {module.split(".")[1] for module in imports(file) if module.startswith("beauty_models.")}


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_know_only_what_lies_below(room: str) -> None:
    for file in (ROOT / "beauty_models" / room).rglob("*.py"):
        strange = rooms_imported(file) - {room} - ROOMS[room] - GROUND
        assert strange == set(), f"{file.relative_to(ROOT)} imports {strange}"


def test_the_ground_floor_knows_no_room() -> None:
    for name in GROUND:
        assert rooms_imported(ROOT / "beauty_models" / f"{name}.py") <= GROUND, name


def test_rooms_import_each_other_in_no_circle() -> None:
    order = list(TopologicalSorter(ROOMS).static_order())
    assert sorted(order) == sorted(ROOMS)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_do_not_know_each_other(family: str) -> None:
    for file in (ROOT / "beauty_models" / family).rglob("*.py"):
        assert not rooms_imported(file) & (set(FAMILIES) - {family}), file


def test_a_shared_module_is_imported_by_two_families_or_more() -> None:
    users: dict[Path, set[str]] = {}
    for family in FAMILIES:
        reached: set[Path] = set()
        for file in (ROOT / "beauty_models" / family).rglob("*.py"):
            closure(file, reached)
        for file in reached:
            users.setdefault(file, set()).add(family)
    # `__main__` answers files and folders with it for every family, and imports it by its name
    for_all = closure(ROOT / "beauty_models/serving/batch.py", set())
    for room in ROOMS:
        for file in (ROOT / "beauty_models" / room).glob("[!_]*.py"):
            if file not in for_all:
                assert len(users.get(file, ())) > 1, f"{file.relative_to(ROOT)}: {users.get(file)}"


def test_there_is_no_room_for_everything() -> None:
    names = {"common", "utils", "util", "helpers", "helper", "misc"}
    for layer in FORBIDDEN:
        for path in (ROOT / layer).rglob("*"):
            assert path.stem not in names, path


@pytest.mark.parametrize("module", ["predict", "serving"])
@pytest.mark.parametrize("family", FAMILIES)
def test_serving_imports_no_report_code(family: str, module: str) -> None:
    folder = ROOT / "beauty_models" / family
    judges = {folder / "evaluate.py", *(folder / "report").rglob("*.py")}
    judges |= set((ROOT / "beauty_models/evaluation").rglob("*.py"))
    assert closure(folder / f"{module}.py", set()) & judges == set()


@pytest.mark.parametrize(
    "file",
    sorted(p for d in (*FORBIDDEN, "tests", "bench") for p in (ROOT / d).rglob("*.py")),
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_every_file_says_what_it_is(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))


def test_no_two_test_files_have_one_name() -> None:
    # pytest imports them by their names, without their folders, and stops at the second one.
    counts = Counter(file.name for file in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in counts.items() if count > 1] == []


def test_no_pickle_and_no_remote_code() -> None:
    for file in [f for layer in FORBIDDEN for f in (ROOT / layer).rglob("*.py")]:
        assert not imports(file) & {"pickle", "joblib", "cloudpickle", "dill"}, file
        text = file.read_text(encoding="utf-8")
        assert "trust_remote_code=True" not in text, file
        assert len(re.findall(r"torch\.load\(", text)) == len(
            re.findall(r"torch\.load\([^)]*weights_only=True", text)
        ), file


def test_every_from_pretrained_refuses_code_that_comes_with_a_model() -> None:
    """One door, `backbones.loading.from_pretrained`.

    Whoever else loads by that name says the same there.
    """
    found = 0
    for file in [f for layer in (*FORBIDDEN, "bench") for f in (ROOT / layer).rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr != "from_pretrained":
                continue
            found += 1
            said = {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert said.get("trust_remote_code") == "False", f"{file}:{node.lineno}"
    assert found


def test_readme_tree_is_true() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = re.search(r"```text\n(.*?)```", readme, re.S)
    assert tree, "README.md has no ```text block with the tree"
    stack: list[str] = []
    for line in filter(str.strip, tree[1].splitlines()):
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        stack = [*stack[:depth], name.rstrip("/")]
        path = ROOT.joinpath(*stack)
        if not {"build", "metrics", "data/raw"} & set(stack):
            assert path.exists(), f"README.md's tree names {path.relative_to(ROOT)}"


def test_readme_commands_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"\bmake ([a-z-]+)", readme)):
        assert re.search(rf"^{target}:", makefile, re.M), f"README.md says `make {target}`"
    from typer.main import get_command

    from cli.main import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    used = set(re.findall(r"(?:^|`)beauty ([a-z]+)", readme, re.M))
    assert used and used <= known, f"README.md names commands that do not exist: {used - known}"


@pytest.mark.parametrize("stage", ["code", "predict", "toy"])
def test_a_path_that_the_command_would_not_use_is_refused(
    stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([stage, "sentiment", "--exported", "x"]) == 1
    assert f"error: {stage} takes no path called exported; it takes" in capsys.readouterr().err


def test_options_are_not_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["ingest", "sentiment", "--par", "x"])
    assert "unknown arguments: --par x" in capsys.readouterr().err
