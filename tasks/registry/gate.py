"""The gate: may this candidate become champion? Every figure and every criterion goes into the verdict."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

from beauty_models import families
from beauty_models.params import Gate

Metrics = dict[str, float]

FLOOR, CHAMPION = "floor", "champion"
"""What a criterion holds the candidate against; everything else is the name of a baseline, or None."""


def judge(
    gate: Gate, metrics: Metrics, champion: Metrics | None, champion_version: int | None
) -> dict[str, Any]:
    """Hold ``metrics`` against floor, baselines and champion.

    A candidate passes when its metric reaches the floor, its lead over every baseline that the gate
    lists stays above 0 at the lower end of the paired bootstrap interval, and its metric is not
    worse than the champion's on the same split by more than the tolerance. NaN passes nothing.
    Of the champion only this metric is asked: a version that was registered before the gate said
    which baselines count stays comparable.

    Returns:
        ``passed``, ``metric``, ``larger_is_better``, ``value``, ``champion`` (version and metrics,
        or None) and ``criteria``: name, ``against`` (`FLOOR`, `CHAMPION` or the name of a
        baseline), value, bound, passed.

    Raises:
        ValueError: the metric, or its lead over a baseline that counts, is not among the metrics.
    """
    name, larger = gate.metric, gate.larger_is_better
    if name not in metrics:
        plain = ", ".join(sorted(metric for metric in metrics if "/" not in metric))
        raise ValueError(
            f"params.yaml: gate.metric {name!r} is none of evaluate's figures: {plain}"
        )
    leads = _leads(gate, metrics)
    value = metrics[name]
    no_worse = ">=" if larger else "<="
    criteria = [_criterion(f"{name} reaches the floor", FLOOR, value, no_worse, gate.floor)]
    for baseline, lead in leads.items():
        criteria.append(_criterion(f"lead over {baseline}, lower bound", baseline, lead, ">", 0.0))
    for baseline in _not_applicable(gate, metrics):
        name_it = f"{baseline} does not count: the data lack what it needs"
        criteria.append(
            {"name": name_it, "against": None, "value": None, "bound": None, "passed": True}
        )
    if champion is not None:
        if name not in champion:
            raise ValueError(
                f"the champion's evaluation gave no {name}; see gate.metric in params.yaml"
            )
        bound = champion[name] - gate.tolerance if larger else champion[name] + gate.tolerance
        title = f"not worse than the champion, version {champion_version}"
        criteria.append(_criterion(title, CHAMPION, value, no_worse, bound))
    return {
        "passed": all(criterion["passed"] for criterion in criteria),
        "metric": name,
        "larger_is_better": larger,
        "value": value,
        "floor": gate.floor,
        "tolerance": gate.tolerance,
        "champion": None
        if champion is None
        else {"version": champion_version, "metrics": champion},
        "criteria": criteria,
    }


def _not_applicable(gate: Gate, metrics: Metrics) -> list[str]:
    """Return the listed baselines of which evaluate says that the data do not allow them."""
    return [name for name in gate.baselines if f"{name}/{families.NOT_APPLICABLE}" in metrics]


def _leads(gate: Gate, metrics: Metrics) -> dict[str, float]:
    """Return the lead over each baseline that counts; a ValueError names those that were not measured."""
    leads, unmeasured = {}, []
    impossible = _not_applicable(gate, metrics)
    for baseline in [name for name in gate.baselines if name not in impossible]:
        lead = families.lead(gate.metric, metrics, baseline, gate.larger_is_better)
        if lead is None or f"{baseline}/{gate.metric}" not in metrics:
            unmeasured.append(baseline)
        else:
            leads[baseline] = lead
    if unmeasured:
        there = ", ".join(families.compared(gate.metric, metrics)) or "nothing"
        raise ValueError(
            f"params.yaml: gate.baselines lists {', '.join(unmeasured)}, which evaluate did not "
            f"measure by {gate.metric} (it compared the model with {there})"
        )
    if not leads:
        raise ValueError(
            f"params.yaml: gate.baselines lists {', '.join(impossible)} alone, for which the data lack "
            "what they need; add majority, or another that can be measured"
        )
    return leads


COMPARED = {">=": operator.ge, "<=": operator.le, ">": operator.gt}


def _criterion(name: str, against: str, value: float, sign: str, bound: float) -> dict[str, Any]:
    return {
        "name": name,
        "against": against,
        "value": value,
        "bound": f"{sign} {bound:.4f}",
        "passed": COMPARED[sign](value, bound),
    }


def counted(verdict: dict[str, Any]) -> list[str]:
    """Return the baselines that a verdict counted."""
    against = [criterion["against"] for criterion in verdict["criteria"]]
    return [name for name in against if name not in (FLOOR, CHAMPION, None)]


def strongest_baseline(verdict: dict[str, Any], metrics: Metrics) -> str | None:
    """Return which of the counted baselines is best by the verdict's metric."""
    larger = verdict["larger_is_better"]
    return families.strongest(verdict["metric"], metrics, counted(verdict), larger)


class Row(NamedTuple):
    """A line of the verdict: the candidate itself, or what it was held against, by the gate's metric."""

    name: str
    value: float
    interval: tuple[float, float] | None  # of the value, where evaluate measured one
    lead: float | None  # of the candidate over this baseline: lower end of the paired interval
    passed: bool | None  # None for the candidate itself


def rows(verdict: dict[str, Any], metrics: Metrics) -> list[Row]:
    """Return the verdict as lines: the candidate, then champion, baselines (the strongest first) and floor."""
    metric = verdict["metric"]
    criteria = {criterion["against"]: criterion for criterion in verdict["criteria"]}
    found = [Row("this model", metrics[metric], _interval(metrics, metric), None, None)]
    if CHAMPION in criteria:
        champion = verdict["champion"]
        name = f"champion (version {champion['version']})"
        figures, passed = champion["metrics"], criteria[CHAMPION]["passed"]
        found.append(Row(name, figures[metric], _interval(figures, metric), None, passed))
    sign = 1 if verdict["larger_is_better"] else -1
    best_first = sorted(counted(verdict), key=lambda name: -sign * metrics[f"{name}/{metric}"])
    for name in best_first:
        figure = f"{name}/{metric}"
        lead, passed = criteria[name]["value"], criteria[name]["passed"]
        found.append(Row(name, metrics[figure], _interval(metrics, figure), lead, passed))
    found.append(Row("floor", verdict["floor"], None, None, criteria[FLOOR]["passed"]))
    return found


def _interval(metrics: Metrics, figure: str) -> tuple[float, float] | None:
    low, high = metrics.get(f"{figure}.low"), metrics.get(f"{figure}.high")
    return None if low is None or high is None else (low, high)


def worth(family: str, verdict: dict[str, Any], figures: Metrics) -> str | None:
    """Return in one sentence what a model is worth beside the strongest baseline that counted.

    The share is told of 100; of 1,000 where model and baseline would otherwise read alike without being so. None where the
    family's figure, or the baseline's, was not measured.
    """
    said = families.wording(family)
    share = figures.get(said.figure)
    baseline = strongest_baseline(verdict, figures)
    other = figures.get(f"{baseline}/{said.figure}")
    if share is None or other is None or baseline is None:
        return None
    of = 100
    if round(100 * share) == round(100 * other) and share != other:
        of = 1000
    told = said.sentence.format(right=round(of * share), of=of)
    return f"{told}, {families.in_words(family, baseline)} {round(of * other)}"


def summary(family: str, verdict: dict[str, Any], metrics: Metrics, warnings: list[str]) -> str:
    """Return the verdict as a page's first lines, Markdown: outcome, worth, and the gate's metric beside what it was held against."""
    metric = verdict["metric"]
    outcome = "**Passed the gate.**" if verdict["passed"] else "**Did not pass the gate.**"
    sentence = worth(family, verdict, metrics)
    said = f" {sentence[0].upper()}{sentence[1:]}." if sentence else ""
    lines = [outcome + said, ""]
    lines += [f"| | {families.in_words(family, metric)} | interval | lead at least | |"]
    lines += ["|---|---:|---:|---:|---|"]
    for row in rows(verdict, metrics):
        interval = f"{row.interval[0]:.4f} – {row.interval[1]:.4f}" if row.interval else ""
        lead = "" if row.lead is None else f"{row.lead:+.4f}"
        mark = "" if row.passed is None else "✓" if row.passed else "✗"
        name = families.in_words(family, row.name)
        lines.append(f"| {name} | {_figure(row.value)} | {interval} | {lead} | {mark} |")
    lines += [f"\n⚠ {warning}" for warning in warnings]
    return "\n".join(lines) + "\n"


def markdown(
    family: str,
    verdict: dict[str, Any],
    metrics: Metrics,
    warnings: list[str],
) -> str:
    """Return the verdict as Markdown: outcome, warnings, every criterion, then all other figures.

    A table that is as wide as there are baselines cannot be read, so the other figures stand beside the strongest baseline's
    and the champion's alone; ``metrics/<family>/evaluate.json`` has them all.
    """
    outcome = (
        "**Passed**: it becomes champion."
        if verdict["passed"]
        else "**Not passed**: it is kept as challenger."
    )
    lines = [f"## {family}: the gate", "", outcome, ""]
    lines += [f"> ⚠ {warning}\n" for warning in warnings]
    lines += ["| criterion | value | bound | |", "|---|---:|---:|---|"]
    for criterion in verdict["criteria"]:
        mark = "✓" if criterion["passed"] else "✗"
        value, bound = _figure(criterion["value"]), criterion["bound"] or "–"
        lines.append(f"| {criterion['name']} | {value} | {bound} | {mark} |")
    if verdict["champion"] is None:
        lines += ["", "There was no champion to compare with."]
    return "\n".join([*lines, "", *_others(verdict, metrics)]) + "\n"


def _others(verdict: dict[str, Any], metrics: Metrics) -> list[str]:
    """Return a table of all plain figures: the model's, its interval, the strongest baseline's and the champion's."""
    baseline = strongest_baseline(verdict, metrics)
    champion = verdict["champion"]
    head = ["figure", "this model", "interval"]
    head += [baseline] if baseline else []
    head += [f"champion (version {champion['version']})"] if champion else []
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    for name, value in metrics.items():
        if "/" in name or name.endswith((".low", ".high")):
            continue
        interval = _interval(metrics, name)
        cells = [
            name,
            _figure(value),
            f"{interval[0]:.4f}–{interval[1]:.4f}" if interval else "",
        ]
        if baseline:
            cells.append(_figure(metrics.get(f"{baseline}/{name}")))
        if champion:
            cells.append(_figure(champion["metrics"].get(name)))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if value.is_integer() and abs(value) > 1 else f"{value:.4f}"
