"""The gate: may this candidate become champion? Every figure and every criterion goes into the verdict."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from beauty_models import families
from beauty_models.params import Gate

Metrics = dict[str, float]

FLOOR, CHAMPION, NO_BASELINE = "floor", "champion", "no baseline"
"""What a criterion holds the candidate against; everything else is the name of a baseline."""


def judge(
    gate: Gate, metrics: Metrics, champion: Metrics | None, champion_version: int | None
) -> dict[str, Any]:
    """Hold ``metrics`` against floor, baselines and champion.

    A candidate passes when its metric reaches the floor, its lead over every baseline stays above 0 at the lower end of the
    paired bootstrap interval (``BASELINE/METRIC.margin_low``), and its metric is not below the champion's on the same split by
    more than the tolerance. NaN passes nothing.

    Returns:
        ``passed``, ``metric``, ``value``, ``champion`` (version and metrics, or None) and ``criteria``: name, ``against``
        (`FLOOR`, `CHAMPION` or the name of a baseline), value, bound, passed.

    Raises:
        ValueError: the metric is not among the figures.
    """
    name = gate.metric
    if name not in metrics:
        raise ValueError(
            f"params.yaml: gate.metric {name!r} is none of evaluate's figures: {', '.join(sorted(m for m in metrics if '/' not in m))}"
        )
    value = metrics[name]
    criteria = [_criterion(f"{name} reaches the floor", FLOOR, value, ">=", gate.floor)]
    ending = f"/{name}.margin_low"
    leads = {
        key.removesuffix(ending): lead
        for key, lead in sorted(metrics.items())
        if key.endswith(ending)
    }
    criteria += [
        _criterion(f"lead over {baseline}, lower bound", baseline, lead, ">", 0.0)
        for baseline, lead in leads.items()
    ]
    if not leads:
        criteria.append(
            {
                "name": "beats a baseline (evaluate measured none)",
                "against": NO_BASELINE,
                "value": None,
                "bound": None,
                "passed": False,
            }
        )
    if champion is not None:
        if name not in champion:
            raise ValueError(
                f"the champion's evaluation gave no {name}; see gate.metric in params.yaml"
            )
        criteria.append(
            _criterion(
                f"not worse than the champion, version {champion_version}",
                CHAMPION,
                value,
                ">=",
                champion[name] - gate.tolerance,
            )
        )
    return {
        "passed": all(criterion["passed"] for criterion in criteria),
        "metric": name,
        "value": value,
        "floor": gate.floor,
        "tolerance": gate.tolerance,
        "champion": None
        if champion is None
        else {"version": champion_version, "metrics": champion},
        "criteria": criteria,
    }


def _criterion(name: str, against: str, value: float, sign: str, bound: float) -> dict[str, Any]:
    return {
        "name": name,
        "against": against,
        "value": value,
        "bound": f"{sign} {bound:.4f}",
        "passed": value >= bound if sign == ">=" else value > bound,
    }


class Row(NamedTuple):
    """A line of the verdict: the candidate itself, or what it was held against, by the gate's metric."""

    name: str
    value: float | None  # None where nothing was measured
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
    baselines = [name for name in criteria if name not in (FLOOR, CHAMPION, NO_BASELINE)]
    for name in sorted(baselines, key=lambda name: -metrics.get(f"{name}/{metric}", math.inf)):
        figure = f"{name}/{metric}"
        lead, passed = criteria[name]["value"], criteria[name]["passed"]
        found.append(Row(name, metrics.get(figure), _interval(metrics, figure), lead, passed))
    if NO_BASELINE in criteria:
        found.append(Row("no baseline was measured", None, None, None, False))
    found.append(Row("floor", verdict["floor"], None, None, criteria[FLOOR]["passed"]))
    return found


def _interval(metrics: Metrics, figure: str) -> tuple[float, float] | None:
    low, high = metrics.get(f"{figure}.low"), metrics.get(f"{figure}.high")
    return None if low is None or high is None else (low, high)


def worth(family: str, metric: str, figures: Metrics) -> str | None:
    """Return in one sentence what a model is worth beside the baseline that is strongest by ``metric``.

    The share is told of 100; of 1,000 where model and baseline would otherwise read alike without being so. None where the
    family's figure, or the baseline's, was not measured.
    """
    said = families.wording(family)
    share = figures.get(said.figure)
    baseline = families.strongest_baseline(metric, figures)
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
    sentence = worth(family, metric, metrics)
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
    baseline = families.strongest_baseline(verdict["metric"], metrics)
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
