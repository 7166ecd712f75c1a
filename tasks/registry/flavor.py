"""What makes a family's model folder a model of MLflow: an MLmodel file that names the family's ``serving`` module.

``mlflow.pyfunc.load_model("models:/FAMILY@champion")`` and ``mlflow models serve`` then answer, wherever beauty-models is
installed. No pickle and no code travels with the version: weights stay safetensors, the code is the installed one. The
requirements are pinned as they were when the model was made; MLflow warns where others are installed.
"""

from __future__ import annotations

import hashlib
from importlib import import_module
from importlib.metadata import requires, version
from importlib.util import find_spec
from platform import python_version

from packaging.requirements import Requirement


def files(family: str) -> dict[str, str]:
    """Return file name → text of what is added to the family's model folder; nothing if it has no ``serving`` module."""
    module = f"beauty_models.{family}.serving"
    if find_spec(f"beauty_models.{family}") is None or find_spec(module) is None:
        return {}
    return {"MLmodel": _mlmodel(module), "requirements.txt": _requirements()}


def hashes(added: dict[str, str]) -> dict[str, str]:
    """Return name → SHA-256 of what `files` returned."""
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in added.items()}


def _mlmodel(module: str) -> str:
    from mlflow.models import Model, ModelSignature
    from mlflow.types import DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType, ColSpec

    interface = import_module(module)
    columns = [
        ColSpec(DataType.string, name, required=required)
        for name, required in interface.COLUMNS.items()
    ]
    anything = AnyType()  # type: ignore[no-untyped-call]
    answers = [ColSpec(anything, name, required=False) for name in interface.ANSWERS]
    answers.append(ColSpec(DataType.string, "error", required=False))
    signature = ModelSignature(inputs=Schema([*columns]), outputs=Schema([*answers]))
    if interface.PARAMS:
        signature.params = ParamSchema(
            [ParamSpec(name, DataType.long, value) for name, value in interface.PARAMS.items()]
        )
    model = Model(signature=signature)
    # what mlflow.pyfunc.add_to_model does; importing mlflow.pyfunc takes seconds and warns of itself
    model.add_flavor("python_function", loader_module=module, python_version=python_version())
    text: str = model.to_yaml()
    return text


def _requirements() -> str:
    """Return the installed version of each direct requirement of beauty-models, a line each.

    beauty-models itself is not among them: no index has it, and a stranger's package might take the name.
    """
    needed = [Requirement(line) for line in requires("beauty-models") or []]
    names = {one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})}
    return "".join(f"{name}=={version(name)}\n" for name in sorted(names, key=str.lower))
