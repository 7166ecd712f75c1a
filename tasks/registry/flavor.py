"""What makes a model folder a model of MLflow: MLmodel, which names the ``serving`` module.

``mlflow.pyfunc.load_model("models:/FAMILY@champion")`` and ``mlflow models serve`` then answer,
wherever beauty-models is installed. No pickle and no code travels with the version: weights stay
safetensors, the code is the installed one. The requirements are pinned as they were when the model
was made; MLflow warns where others are installed.
"""

from __future__ import annotations

import hashlib
from importlib import import_module
from importlib.metadata import requires, version
from importlib.util import find_spec
from platform import python_version
from typing import Any

from packaging.requirements import Requirement


def files(family: str) -> dict[str, str]:
    """Return file name → text of what is added to the family's model folder.

    Nothing if the family has no ``serving`` module.
    """
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
    inputs: list[Any] = []
    for name, required in interface.COLUMNS.items():
        inputs.append(ColSpec(DataType.string, name, required=required))
    anything = AnyType()  # type: ignore[no-untyped-call]
    outputs: list[Any] = [ColSpec(anything, name, required=False) for name in interface.ANSWERS]
    # A row that cannot be answered keeps its place, and says why here.
    outputs.append(ColSpec(DataType.string, "error", required=False))
    signature = ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))
    if interface.PARAMS:
        defaults = interface.PARAMS.items()
        kinds = {int: DataType.long, float: DataType.double, str: DataType.string}
        params = [ParamSpec(name, kinds[type(value)], value) for name, value in defaults]
        signature.params = ParamSchema(params)
    model = Model(signature=signature)
    # What mlflow.pyfunc.add_to_model does: importing mlflow.pyfunc takes seconds, and warns.
    model.add_flavor("python_function", loader_module=module, python_version=python_version())
    text: str = model.to_yaml()
    return text


def _requirements() -> str:
    """Return the installed version of each direct requirement of beauty-models, a line each.

    beauty-models itself is not among them: no index has it, and a stranger's package might take the
    name.
    """
    names = set()
    for line in requires("beauty-models") or []:
        requirement = Requirement(line)
        # Those of an extra, such as for the tests, have a marker that is false without it.
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            names.add(requirement.name)
    return "".join(f"{name}=={version(name)}\n" for name in sorted(names, key=str.lower))
