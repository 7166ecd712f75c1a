"""For the edge: the classifier as one ONNX file in int8, for answers without torch.

``exported/`` holds ``model.onnx`` (token ids and mask → calibrated probabilities and, where the
data had them, the states of the aspects), ``tokenizer.json`` for the ``tokenizers`` library,
``classifier.json`` (classes, aspects, precision) and ``backbone.json`` with the licence of the
weights. The family's README shows the five lines that ask it.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer
from torch import nn

from beauty_models.evaluation.bootstrap import point_estimate
from beauty_models.evaluation.metrics import macro_f1
from beauty_models.families import Metrics
from beauty_models.files import new_folder, read_json, write_json
from beauty_models.progress import log_line
from beauty_models.sentiment import Export
from beauty_models.sentiment.model import Classifier, load
from beauty_models.training.bert import max_positions

OPSET = 18  # the least that torch's exporter writes without converting
CLOSE = 1e-3  # of a probability; float32 in another order of sums differs by some 1e-6
ROWS = 16  # per batch
CHECKED = 50  # texts on which the float32 file must answer as the model does
WARM_UP = 3  # answers before the clock counts: the first ones allocate

Floats = NDArray[np.float32]


class _Probabilities(nn.Module):
    """What is exported, with the names that transformers gives to its inputs."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Return probabilities [n, classes] and, with aspects, their states [n, aspects, 4]."""
        sentiment, aspects = self.classifier(input_ids, attention_mask.bool())
        probabilities = torch.softmax(sentiment / self.classifier.temperature, -1)
        if not self.classifier.aspects:
            return (probabilities,)
        return probabilities, torch.softmax(aspects, -1)


class OnnxClassifier:
    """A saved ``exported`` folder, asked on one thread."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", options)
        self.tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.classes: list[str] = read_json(folder / "classifier.json")["classes"]

    def predict(self, texts: Sequence[str]) -> Floats:
        """Return the probabilities [n, classes] of ``texts``, in their order."""
        probabilities = np.zeros((len(texts), len(self.classes)), np.float32)
        # by length: a short text is not padded to a long one's size
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(order), ROWS):
            batch = order[start : start + ROWS]
            encoded = self.tokenizer.encode_batch([texts[i] for i in batch])
            inputs = {
                "input_ids": np.array([text.ids for text in encoded], np.int64),
                "attention_mask": np.array([text.attention_mask for text in encoded], np.int64),
            }
            [probabilities[batch]] = self.session.run(["probabilities"], inputs)
        return probabilities


def _write_float32(classifier: Classifier, file: Path) -> None:
    """Write ``classifier`` as ONNX for any number of texts of any length."""
    # 2 × 7: sizes of 0 and 1 would be taken for constants
    ids = torch.full((2, 7), int(classifier.tokenizer.pad_token_id))
    mask = torch.ones_like(ids)
    sizes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    # A module's name, such as "aspect", would stand twice in the graph: onnxruntime refuses that.
    outputs = ["probabilities", "aspect_states"] if classifier.aspects else ["probabilities"]
    torch.onnx.export(
        _Probabilities(classifier).eval(),
        (),
        file,
        kwargs={"input_ids": ids, "attention_mask": mask},
        input_names=["input_ids", "attention_mask"],
        output_names=outputs,
        dynamic_shapes={"input_ids": sizes, "attention_mask": sizes},
        opset_version=OPSET,
        external_data=False,
        dynamo=True,
        verbose=False,
    )


def _write_int8(float32: Path, file: Path) -> None:
    """Write the weights of ``float32`` in 8 bits, a scale per output channel.

    Activations are quantised as they come.
    """
    model = onnx.load(float32)
    # The quantiser would take its own shapes for a contradiction of those that torch noted.
    del model.graph.value_info[:]
    plain = file.with_suffix(".plain.onnx")
    onnx.save(model, plain)
    # One scale for a whole matrix costs up to 10 % of an embedding's cosine, one per channel 2 %.
    logging.disable(logging.WARNING)  # it advises a step that torch's exporter has already done
    quantize_dynamic(plain, file, weight_type=QuantType.QInt8, per_channel=True)
    logging.disable(logging.NOTSET)
    plain.unlink()


def _write_tokenizer(classifier: Classifier, file: Path) -> None:
    """Write the tokenizer so that it cuts and pads by itself, as the classifier does."""
    tokenizer: Any = Tokenizer.from_str(classifier.tokenizer.backend_tokenizer.to_str())
    tokenizer.enable_truncation(max_positions(classifier.encoder))
    tokenizer.enable_padding(
        pad_id=classifier.tokenizer.pad_token_id, pad_token=classifier.tokenizer.pad_token
    )
    tokenizer.save(str(file))


def _write_card(classifier: Classifier, folder: Path, precision: str) -> None:
    """Write classifier.json: what the numbers that the file puts out stand for."""
    card = {
        "classes": classifier.classes,
        "aspects": classifier.aspects,
        "states": ["not mentioned", *classifier.polarities],
        "precision": precision,
    }
    write_json(folder / "classifier.json", card)


def _put_int8_in_place(folder: Path) -> None:
    """Quantise ``model.onnx`` of ``folder``, which is kept as ``float32.onnx``."""
    model = folder / "model.onnx"
    int8 = folder / "int8.onnx"
    _write_int8(model, int8)
    model.rename(folder / "float32.onnx")
    int8.rename(model)


def _check_close(exported: Floats, expected: Floats) -> None:
    """Refuse a float32 file whose probabilities [n, classes] are not the model's."""
    difference = float(np.abs(exported - expected).max())
    if difference > CLOSE:
        raise ValueError(
            "export: the ONNX file's probabilities differ from the model's by up to "
            f"{difference:.3g}; nothing was exported. Another `pretrain.base` may be "
            "exported rightly"
        )


def _sample(file: Path, texts: int, seed: int) -> pd.DataFrame:
    """Return at most ``texts`` rows of ``file``, the same ones every time; ValueError for none."""
    frame = pd.read_parquet(file, columns=["text", "label"])
    if frame.empty:
        raise ValueError(f"{file}: no text to try the export on; bring more data")
    return frame.sample(min(texts, len(frame)), random_state=seed)


def _macro_f1(frame: pd.DataFrame, probabilities: Floats) -> float:
    return point_estimate(
        macro_f1, np.stack([frame["label"].to_numpy(), probabilities.argmax(1)], 1)
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _milliseconds(answer: Callable[[Sequence[str]], object], texts: Sequence[str]) -> float:
    """Return the median time that one text alone takes, tokenising included."""
    times = []
    for text in [*texts[:WARM_UP], *texts]:
        began = time.perf_counter()
        answer([text])
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times[WARM_UP:])


def _megabytes(*files: Path) -> float:
    return sum(file.stat().st_size for file in files) / 1e6


def export(*, data: Path, model: Path, exported: Path, params: Export) -> Metrics:
    """Write ``model`` as ONNX to ``exported``, in int8 where that costs at most the tolerance.

    The float32 file must answer as the model does. Validation texts decide whether int8 is good
    enough, test texts measure what was kept: macro-F1, agreement with the model, size, and the time
    of an answer on one thread.

    Returns:
        The figures; those that begin with ``model_`` are the model's own, in torch and float32.

    Raises:
        ValueError: the exported file answers otherwise than the model, or there is no text to try
            it on.
    """
    classifier = load(model)
    validation = _sample(data / "validation.parquet", params.texts, params.seed)
    test = _sample(data / "test.parquet", params.texts, params.seed)
    texts = validation["text"].tolist()
    probabilities = classifier.predict(texts, "export: validation", "float32").probabilities
    with new_folder(exported) as folder:
        log_line("export: writing ONNX, once in float32 and once in int8")
        _write_tokenizer(classifier, folder / "tokenizer.json")
        write_json(folder / "backbone.json", classifier.backbone)
        _write_card(classifier, folder, "float32")
        _write_float32(classifier, folder / "model.onnx")
        _check_close(OnnxClassifier(folder).predict(texts[:CHECKED]), probabilities[:CHECKED])
        _put_int8_in_place(folder)
        quantised = OnnxClassifier(folder).predict(texts)
        # What the model answers, the float32 file answers: that was checked.
        cost = _macro_f1(validation, probabilities) - _macro_f1(validation, quantised)
        if cost <= params.tolerance:
            (folder / "float32.onnx").unlink()
            _write_card(classifier, folder, "int8")
        else:
            (folder / "float32.onnx").replace(folder / "model.onnx")
            log_line(
                f"export: int8 costs {cost:.4f} of macro-F1, more than tolerance; "
                "float32 is exported"
            )
        figures = _measure(classifier, model, folder, test, params)
    return figures | {
        "n": float(len(test)),
        "int8": float(cost <= params.tolerance),
        "validation_cost": cost,
    }


def _measure(
    classifier: Classifier, model: Path, folder: Path, test: pd.DataFrame, params: Export
) -> Metrics:
    """Return the figures of the exported ``folder`` beside those of its model."""
    small = OnnxClassifier(folder)
    texts = test["text"].tolist()
    probabilities = small.predict(texts)
    reference = classifier.predict(texts, "export: test", "float32").probabilities
    timed = texts[: params.timed]
    with _one_thread():
        model_time = _milliseconds(lambda one: classifier.predict(one, "", "float32"), timed)
    return {
        "macro_f1": _macro_f1(test, probabilities),
        "model_macro_f1": _macro_f1(test, reference),
        "agreement": float((probabilities.argmax(1) == reference.argmax(1)).mean()),
        "largest_difference": float(np.abs(probabilities - reference).max()),
        "megabytes": _megabytes(folder / "model.onnx"),
        "model_megabytes": _megabytes(*model.glob("*.safetensors")),
        "milliseconds": _milliseconds(small.predict, timed),
        "model_milliseconds": model_time,
    }
