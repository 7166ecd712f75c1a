"""Run one stage of one family: ``python -m beauty_models finetune sentiment``.

This is the command dvc.yaml holds. It gives the stage the paths that its argument names stand for,
seeds every random generator, and writes what the stage returns to
``metrics/<family>/<stage>.json``, what `dvc metrics show` shows of it to
``metrics/<family>/brief/<stage>.json``, and the curves of a training to
``metrics/<family>/curves/<stage>``. ``--raw``, ``--data`` and so on put a path elsewhere (then no
metrics file is written unless ``--metrics`` says where); ``--params`` reads another file.

``python -m beauty_models predict sentiment --model DIR …`` prints what the family's ``predict``
returns as JSON (``--model -`` reads the folder's name from standard input, when the libraries are
loaded); ``starter`` and ``toy`` write the family's packaged and generated raw data to ``--raw``;
``code`` writes which code each stage runs to ``build/<family>/code``, on which dvc.yaml's stages
depend.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import random
import sys
import threading
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

# OpenMP threads that wait by spinning make a stage 15 times slower when anything else uses a core;
# give up the core soon.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")
# NumPy's threads spin, too: two of them fit a baseline on 735 rows in 7.9 s, one in 1.3 s. And sums
# are then taken in one order, on any number of cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

from beauty_models import code, families, params  # noqa: E402
from beauty_models.files import new_folder, read_json, write_json  # noqa: E402

OTHER_PATHS = {"starter": ["raw"], "toy": ["raw"], "code": [], "predict": ["model"]}
"""What is no stage → the path names that it takes."""

TRAINING = ("pretrain", "finetune")  # of every family; they leave a history.json in their output


def _seed(seed: int) -> None:
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)


def run(
    stage: str, family: str, places: dict[str, Path], params_file: Path, metrics: Path | None
) -> families.Metrics:
    """Run ``stage`` of ``family`` and write its metrics.

    ``places`` overrides where a path name lies. Metrics go to ``metrics``, or to the family's usual
    file when nothing was put elsewhere.

    Raises:
        ValueError: a mistake of the user's, in words for them.
    """
    function = families.function(stage, family)
    section = getattr(params.load(family, params_file, [stage]), stage)
    output = families.stages(family)[stage]
    if not places and not metrics:  # then the result is dvc.lock's
        code.check(stage, family)
    wanted = families.path_names(function)
    _refuse_stray(stage, places, wanted)
    paths = {name: places.get(name, families.path(name, family)) for name in wanted}
    for name, place in paths.items():
        if name != output and not place.exists():
            raise ValueError(
                f"{place}: not there yet; run `beauty retrain {family}` or the stage that makes it"
            )
    _seed(section.seed)
    figures: families.Metrics = function(**paths, params=section)
    strange = []
    for name, value in figures.items():
        if not math.isfinite(value):
            strange.append(f"{name} is {value}")
    if strange:
        raise ValueError(
            f"{stage}: {', '.join(strange)}: not a number that a model can be judged by; the "
            "stage's output is not to be used. Look at its learning rates, its precision and the "
            "data"
        )
    figures = {name: float(value) for name, value in figures.items()}
    if metrics:
        write_json(metrics, figures)
    elif not places:
        _record(stage, family, figures, paths[output])
    return figures


def _refuse_stray(stage: str, places: Iterable[str], wanted: list[str]) -> None:
    stray = sorted(set(places) - set(wanted))
    if stray:
        takes = ", ".join(wanted) or "none"
        raise ValueError(f"{stage} takes no path called {', '.join(stray)}; it takes {takes}")


def _record(stage: str, family: str, figures: families.Metrics, output: Path) -> None:
    """Write all figures, the headline and a training's curves to where dvc.yaml says they are.

    Pretraining without an epoch leaves no history, and its curves are an empty folder: DVC wants
    what it is promised.
    """
    folder = Path("metrics") / family
    write_json(folder / f"{stage}.json", figures)
    write_json(folder / "brief" / f"{stage}.json", families.headline(stage, family, figures))
    history = output / "history.json"
    if stage in TRAINING or history.exists():
        _write_curves(folder / "curves" / stage, read_json(history) if history.exists() else [])


def _write_curves(folder: Path, history: Any) -> None:
    """Write one table per figure of ``history``; DVC plots it over ``step`` or ``epoch``.

    ``history`` is a list of rows, or one such list for each of several trainings by name.
    """
    trainings = history if isinstance(history, dict) else {"": history}
    curves: dict[str, list[str]] = {}
    for training, rows in trainings.items():
        for row in rows:
            axis = "epoch" if "epoch" in row else "step"
            for figure in [name for name in row if name != axis]:
                name = f"{training}_{figure}" if training else figure
                lines = curves.setdefault(name, [f"{axis}\t{name}"])
                lines.append(f"{row[axis]}\t{row[figure]:.6g}")
    with new_folder(folder) as temporary:
        for name, lines in curves.items():
            (temporary / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _folder_of_caller() -> Path:
    """Return the folder that standard input names.

    When standard input ends, its owner is gone: this process ends, too.
    """
    name = sys.stdin.buffer.readline().decode().rstrip("\n")
    if not name:
        raise SystemExit(1)

    def watch() -> None:
        while os.read(0, 1024):  # not sys.stdin, whose lock would keep the interpreter from ending
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    return Path(name)


def _batch() -> Any:
    # by its name: it is no part of any stage's code
    return importlib.import_module("beauty_models.serving.batch")


def _predict(family: str, model: Path, arguments: list[str]) -> Any:
    """Return the family's own answer, or with ``--file`` what became of the file's rows.

    Standard output is for the answer alone: bars and lines of a log go to standard error.
    """
    with redirect_stdout(sys.stderr):
        if str(model) == "-":
            families.function("predict", family)  # loads libraries while the caller looks for it
            model = _folder_of_caller()
        if {argument.partition("=")[0] for argument in arguments} & {"--file", "--out"}:
            return _batch().predict_file(family, model, arguments)
        return families.function("predict", family)(model=model, arguments=arguments)


def _asks_for_help_of_family(given: list[str]) -> bool:
    """Return whether ``given`` is ``predict FAMILY … --help``, which argparse takes for its own."""
    verb, family, *rest = [*given, "", ""][: max(2, len(given))]
    return verb == "predict" and family in families.names() and bool({"--help", "-h"} & set(rest))


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run; the exit code is 0, or 1 after a message for the user."""
    given = sys.argv[1:] if arguments is None else arguments
    if _asks_for_help_of_family(given):
        print(_batch().help_text(given[1]))
        return 0
    parser = argparse.ArgumentParser(
        prog="python -m beauty_models",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # the rest may be predict's arguments
        allow_abbrev=False,
    )
    parser.add_argument("stage", help="a stage of the family, or code, predict, starter, toy")
    parser.add_argument("family", choices=families.names())
    parser.add_argument("--params", type=Path, default=params.PARAMS_FILE)
    parser.add_argument("--metrics", type=Path)
    options, rest = parser.parse_known_args(arguments)
    # Which paths there are, the family says.
    paths = argparse.ArgumentParser(prog=parser.prog, add_help=False, allow_abbrev=False)
    for name in families.places(options.family):
        paths.add_argument(f"--{name}", type=Path)
    chosen, rest = paths.parse_known_args(rest)
    if rest and options.stage != "predict":
        parser.error(f"unknown arguments: {' '.join(rest)}")
    places = {name: place for name, place in vars(chosen).items() if place}
    try:
        if options.stage in OTHER_PATHS:
            _refuse_stray(options.stage, places, OTHER_PATHS[options.stage])
        if options.stage in ("starter", "toy"):
            module = importlib.import_module(f"beauty_models.{options.family}.starter")
            raw = places.get("raw", families.path("raw", options.family))
            raw.mkdir(parents=True, exist_ok=True)
            getattr(module, options.stage)(raw=raw)
        elif options.stage == "code":
            code.write(options.family)
        elif options.stage == "predict":
            model = places.get("model", families.path("model", options.family))
            print(json.dumps(_predict(options.family, model, rest), ensure_ascii=False, indent=2))
        else:
            run(options.stage, options.family, places, options.params, options.metrics)
    except (ValueError, OSError) as error:
        if os.environ.get("BEAUTY_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
