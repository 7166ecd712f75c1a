"""The labels of an example: a class, and what else is told apart, in one form.

They stand in a table's columns, among a product's attributes, or in the name of a folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from beauty_models.intake import products, values
from beauty_models.intake.rejected import good_rows, reject, reject_where
from beauty_models.tryon import Ingest
from beauty_models.tryon.heads import label_column


def label_columns(params: Ingest) -> list[str]:
    """Return the columns of the labels of all heads, the class first."""
    return [label_column(head) for head in params.heads]


def labels_from_attributes(rows: pd.DataFrame, params: Ingest) -> None:
    """Take the labels that no column has from the attributes of the products."""
    attributes = list(map(products.attributes, rows["attributes"]))
    for head in params.heads:
        # As the keys of attributes are: without capitals.
        names = [name.casefold() for name in params.columns[head]]
        column = label_column(head)
        labels = []
        for label, given in zip(rows[column], attributes, strict=True):
            labels.append(label or _first_given(given, names))
        rows[column] = labels


def _first_given(attributes: Mapping[str, str], names: Sequence[str]) -> str:
    """Return the value of the first of ``names`` that ``attributes`` has, else ""."""
    for name in names:
        if name in attributes:
            return attributes[name]
    return ""


def normalize_labels(rows: pd.DataFrame, params: Ingest) -> None:
    """Bring the labels of every head into one form.

    Where a head lists what its values mean, rows with another value are rejected.
    """
    class_column = label_columns(params)[0]
    for head, accepted in params.heads.items():
        column = label_column(head)
        cells = rows[column].tolist()
        if column == class_column:
            cells = [_category(cell, params) for cell in cells]
        # What a cell says of a label is compared without capitals, and 1.0 is 1.
        labels = list(map(values.plain, cells))
        if accepted:
            labels = _accept(rows, labels, head, accepted)
        rows[column] = labels


def _accept(
    rows: pd.DataFrame,
    given: Sequence[str],
    head: str,
    accepted: dict[str, list[str]],
) -> list[str]:
    """Return what the values ``given`` to ``rows`` mean; reject those that mean nothing."""
    meaning_of = values.meanings(accepted, f"ingest.heads.{head}")
    listed = ", ".join(accepted)
    labels = []
    reasons = []
    for value in given:
        reason = ""
        # An empty cell is no label, which is no fault.
        if value and value not in meaning_of:
            reason = f"{head} {value!r:.40} is none of {listed}"
        reasons.append(reason)
        labels.append(meaning_of.get(value, ""))
    reject(rows, reasons)
    return labels


def _category(cell: str, params: Ingest) -> str:
    """Return the last folder of the deepest path in ``cell`` that counts.

    A cell that is no list of category paths is returned as it is.
    """
    if not cell.startswith(f"{params.category_root}/"):
        return cell
    deepest: list[str] = []
    aside = set(params.category_aside)
    for path in cell.split(","):
        folders = path.strip().split("/")
        counts = not aside.intersection(folders)
        if counts and len(folders) > len(deepest):
            deepest = folders
    return deepest[-1] if deepest else ""


def reject_contradictions(rows: pd.DataFrame, params: Ingest) -> None:
    """Reject the rows whose picture and text have another label elsewhere."""
    # Which of two labels is right nobody can tell, so none of such rows is learned or tested on.
    for head in params.heads:
        column = label_column(head)
        good = good_rows(rows)
        labelled = good[good[column] != ""]
        labels = labelled.groupby("key")[column].nunique()
        contradicted = labels.index[labels > 1]
        contradictory = rows["key"].isin(contradicted)
        reason = f"the same picture and text have a different {head} elsewhere"
        reject_where(rows, contradictory, reason)


def drop_rare_labels(rows: pd.DataFrame, examples: pd.DataFrame, params: Ingest) -> int:
    """Take labels of which ``examples`` has too few from ``rows``; return how many.

    A row without its class is rejected, one without the label of another head merely does without.
    """
    if not params.split.train:  # what a finished model is evaluated on it need not learn
        return 0
    class_column = label_columns(params)[0]
    count = 0
    for column in label_columns(params):
        labelled = examples[examples[column] != ""]
        counts = labelled[column].value_counts()
        is_frequent = counts >= params.min_examples
        frequent = set(counts.index[is_frequent])
        # A label of the test part alone could never be answered.
        in_train = labelled["part"] == "train"
        trained = set(labelled[column][in_train])
        learnable = labelled[column].isin(frequent & trained)
        rare = labelled.index[~learnable]
        count += len(rare)
        if column != class_column:
            rows.loc[rare, column] = ""
            continue
        reasons = []
        for label in labelled.loc[rare, column]:
            reasons.append(
                f"too few examples of {label!r:.40} (ingest.min_examples is "
                f"{params.min_examples}) or none to train on"
            )
        rows.loc[rare, "reason"] = reasons
    return count
