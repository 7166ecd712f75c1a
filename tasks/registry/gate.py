"""The gate: may this candidate become champion? Every criterion goes into the verdict."""

from __future__ import annotations

import operator
from typing import NamedTuple, TypedDict

from beauty_models import families
from beauty_models.params import Gate

Metrics = dict[str, float]

# What a criterion holds the candidate against; everything else is a baseline's name, or None.
FLOOR = "floor"
CHAMPION = "champion"


class Criterion(TypedDict):
    """One condition of the gate; without a value where it does not apply to the data."""

    name: str
    against: str | None  # `FLOOR`, `CHAMPION` or the name of a baseline
    value: float | None
    bound: str | None  # such as ">= 0.7000"
    passed: bool


class Opponent(TypedDict):
    """The champion that a candidate was held against, evaluated on the same split."""

    version: int | None
    metrics: Metrics


class Verdict(TypedDict):
    """What the gate says of a candidate; it is stored with the version, as JSON."""

    passed: bool
    metric: str
    larger_is_better: bool
    value: float
    floor: float
    tolerance: float
    champion: Opponent | None
    criteria: list[Criterion]


def judge(
    gate: Gate, metrics: Metrics, champion: Metrics | None, champion_version: int | None
) -> Verdict:
    """Hold ``metrics`` against floor, baselines and champion.

    A candidate passes when its metric reaches the floor, each figure of ``gate.floors`` its own,
    its lead over every baseline that the gate lists stays above 0 at the lower end of the paired
    bootstrap interval, and its metric is not worse than the champion's on the same split by more
    than the tolerance. NaN passes nothing.
    Of the champion only this metric is asked: a version that was registered before the gate said
    which baselines count stays comparable.

    Raises:
        ValueError: the metric, or its lead over a baseline that counts, is not among the metrics.
    """
    metric = gate.metric
    if metric not in metrics:
        plain = ", ".join(sorted(name for name in metrics if "/" not in name))
        raise ValueError(
            f"params.yaml: gate.metric {metric!r} is none of evaluate's figures: {plain}"
        )
    # First, so that a baseline that was not measured is an error and not an omission.
    leads = _leads(gate, metrics)
    value = metrics[metric]
    # Comparisons with NaN are false, so a candidate whose metric is NaN meets no criterion.
    no_worse = ">=" if gate.larger_is_better else "<="
    criteria = [_criterion(f"{metric} reaches the floor", FLOOR, value, no_worse, gate.floor)]
    for name, least in gate.floors.items():
        if name not in metrics:
            raise ValueError(f"params.yaml: gate.floors.{name} is none of evaluate's figures")
        criteria.append(_criterion(f"{name} reaches its floor", None, metrics[name], ">=", least))
    for baseline, lead in leads.items():
        criteria.append(_criterion(f"lead over {baseline}, lower bound", baseline, lead, ">", 0.0))
    for baseline in _not_applicable(gate, metrics):
        title = f"{baseline} does not count: the data lack what it needs"
        criteria.append(
            {"name": title, "against": None, "value": None, "bound": None, "passed": True}
        )
    opponent: Opponent | None = None
    if champion is not None:
        opponent = {"version": champion_version, "metrics": champion}
        bound = _champion_bound(gate, champion)
        title = f"not worse than the champion, version {champion_version}"
        criteria.append(_criterion(title, CHAMPION, value, no_worse, bound))
    return {
        "passed": all(criterion["passed"] for criterion in criteria),
        "metric": metric,
        "larger_is_better": gate.larger_is_better,
        "value": value,
        "floor": gate.floor,
        "tolerance": gate.tolerance,
        "champion": opponent,
        "criteria": criteria,
    }


def _champion_bound(gate: Gate, champion: Metrics) -> float:
    """Return the worst value with which a candidate is not worse than the champion."""
    if gate.metric not in champion:
        raise ValueError(
            f"the champion's evaluation gave no {gate.metric}; see gate.metric in params.yaml"
        )
    if gate.larger_is_better:
        return champion[gate.metric] - gate.tolerance
    return champion[gate.metric] + gate.tolerance


def _not_applicable(gate: Gate, metrics: Metrics) -> list[str]:
    """Return the listed baselines of which evaluate says that the data do not allow them.

    Photos alone have no n-grams, a network from scratch has no frozen features.
    """
    return [name for name in gate.baselines if f"{name}/{families.NOT_APPLICABLE}" in metrics]


def _leads(gate: Gate, metrics: Metrics) -> dict[str, float]:
    """Return the lead over each baseline that counts, at the lower end of its interval.

    Raises:
        ValueError: evaluate did not measure a baseline; the message names it, and those it did.
    """
    leads: dict[str, float] = {}
    unmeasured = []
    impossible = _not_applicable(gate, metrics)
    for baseline in gate.baselines:
        if baseline in impossible:
            continue
        lead = families.lead(gate.metric, metrics, baseline, gate.larger_is_better)
        # A baseline without an interval is as good as none: the gate asks for its lower end.
        if lead is None or f"{baseline}/{gate.metric}" not in metrics:
            unmeasured.append(baseline)
        else:
            leads[baseline] = lead
    if unmeasured:
        measured = ", ".join(families.compared(gate.metric, metrics)) or "nothing"
        raise ValueError(
            f"params.yaml: gate.baselines lists {', '.join(unmeasured)}, which evaluate did not "
            f"measure by {gate.metric} (it compared the model with {measured})"
        )
    if not leads:
        raise ValueError(
            f"params.yaml: gate.baselines lists {', '.join(impossible)} alone, for which the data "
            "lack what they need; add majority, or another that can be measured"
        )
    return leads


MARKS = {True: "✓", False: "✗", None: ""}
COMPARED = {">=": operator.ge, "<=": operator.le, ">": operator.gt}


def _criterion(name: str, against: str | None, value: float, sign: str, bound: float) -> Criterion:
    return {
        "name": name,
        "against": against,
        "value": value,
        "bound": f"{sign} {bound:.4f}",
        "passed": COMPARED[sign](value, bound),
    }


def missed_floors(verdict: Verdict) -> list[str]:
    """Return in words which figures of ``gate.floors`` are below theirs; `rows` has none of them.

    They are against nothing, as what does not apply, which passes.
    """
    lines = []
    for criterion in verdict["criteria"]:
        if criterion["against"] is None and not criterion["passed"]:
            value = _format(criterion["value"])
            lines.append(f"{criterion['name']}: {value}, needed {criterion['bound']}")
    return lines


def counted(verdict: Verdict) -> list[str]:
    """Return the baselines that a verdict counted."""
    baselines = []
    for criterion in verdict["criteria"]:
        against = criterion["against"]
        if against is not None and against not in (FLOOR, CHAMPION):
            baselines.append(against)
    return baselines


def strongest_baseline(verdict: Verdict, metrics: Metrics) -> str | None:
    """Return which of the counted baselines is best by the verdict's metric."""
    larger = verdict["larger_is_better"]
    return families.strongest(verdict["metric"], metrics, counted(verdict), larger)


class Row(NamedTuple):
    """A line of the verdict: the candidate, or what it was held against, by the gate's metric."""

    name: str
    value: float
    interval: tuple[float, float] | None  # of the value, where evaluate measured one
    lead: float | None  # of the candidate over this baseline: lower end of the paired interval
    passed: bool | None  # None for the candidate itself


def rows(verdict: Verdict, metrics: Metrics) -> list[Row]:
    """Return the verdict as lines: candidate, champion, baselines (the strongest first), floor."""
    metric = verdict["metric"]
    criteria = {criterion["against"]: criterion for criterion in verdict["criteria"]}
    lines = [Row("this model", metrics[metric], _interval(metrics, metric), None, None)]
    if champion := verdict["champion"]:
        name = f"champion (version {champion['version']})"
        value = champion["metrics"][metric]
        interval = _interval(champion["metrics"], metric)
        lines.append(Row(name, value, interval, None, criteria[CHAMPION]["passed"]))
    best_first = sorted(
        counted(verdict),
        key=lambda name: metrics[f"{name}/{metric}"],
        reverse=verdict["larger_is_better"],
    )
    for name in best_first:
        key = f"{name}/{metric}"
        lead = criteria[name]["value"]
        passed = criteria[name]["passed"]
        lines.append(Row(name, metrics[key], _interval(metrics, key), lead, passed))
    lines.append(Row("floor", verdict["floor"], None, None, criteria[FLOOR]["passed"]))
    return lines


def _interval(metrics: Metrics, key: str) -> tuple[float, float] | None:
    """Return the ends of the interval of a metric, where evaluate measured one."""
    low = metrics.get(f"{key}.low")
    high = metrics.get(f"{key}.high")
    return None if low is None or high is None else (low, high)


def worth(family: str, verdict: Verdict, metrics: Metrics) -> str | None:
    """Return in one sentence what a model is worth beside the strongest baseline that counted.

    None where the family's own metric, or the baseline's, was not measured.
    """
    wording = families.wording(family)
    baseline = strongest_baseline(verdict, metrics)
    share = metrics.get(wording.figure)
    baseline_share = metrics.get(f"{baseline}/{wording.figure}")
    if share is None or baseline_share is None or baseline is None:
        return None
    # Of 100; of 1,000 where model and baseline would otherwise read alike without being so.
    of = 100
    if round(100 * share) == round(100 * baseline_share) and share != baseline_share:
        of = 1000
    sentence = wording.sentence.format(right=round(of * share), of=of)
    name = families.in_words(family, baseline)
    return f"{sentence}, {name} {round(of * baseline_share)}"


def summary(family: str, verdict: Verdict, metrics: Metrics, warnings: list[str]) -> str:
    """Return the verdict as a page's first lines, Markdown.

    They are outcome, worth, and the gate's metric beside what it was held against.
    """
    metric = verdict["metric"]
    outcome = "**Passed the gate.**" if verdict["passed"] else "**Did not pass the gate.**"
    if sentence := worth(family, verdict, metrics):
        outcome += f" {sentence[0].upper()}{sentence[1:]}."
    lines = [outcome, ""]
    lines += [f"| | {families.in_words(family, metric)} | interval | lead at least | |"]
    lines += ["|---|---:|---:|---:|---|"]
    for row in rows(verdict, metrics):
        interval = f"{row.interval[0]:.4f} – {row.interval[1]:.4f}" if row.interval else ""
        lead = "" if row.lead is None else f"{row.lead:+.4f}"
        mark = MARKS[row.passed]
        name = families.in_words(family, row.name)
        lines.append(f"| {name} | {_format(row.value)} | {interval} | {lead} | {mark} |")
    lines += [f"\n✗ {missed}" for missed in missed_floors(verdict)]
    lines += [f"\n⚠ {warning}" for warning in warnings]
    return "\n".join(lines) + "\n"


def markdown(family: str, verdict: Verdict, metrics: Metrics, warnings: list[str]) -> str:
    """Return the verdict as Markdown: outcome, warnings, every criterion, then all other metrics.

    A table that is as wide as there are baselines cannot be read, so the other metrics stand beside
    the strongest baseline's and the champion's alone; ``metrics/<family>/evaluate.json`` has them
    all.
    """
    outcome = "**Not passed**: it is kept as challenger."
    if verdict["passed"]:
        outcome = "**Passed**: it becomes champion."
    lines = [f"## {family}: the gate", "", outcome, ""]
    lines += [f"> ⚠ {warning}\n" for warning in warnings]
    lines += ["| criterion | value | bound | |", "|---|---:|---:|---|"]
    for criterion in verdict["criteria"]:
        mark = MARKS[criterion["passed"]]
        value = _format(criterion["value"])
        bound = criterion["bound"] or "–"
        lines.append(f"| {criterion['name']} | {value} | {bound} | {mark} |")
    if verdict["champion"] is None:
        lines += ["", "There was no champion to compare with."]
    return "\n".join([*lines, "", *_metrics_table(verdict, metrics)]) + "\n"


def _metrics_table(verdict: Verdict, metrics: Metrics) -> list[str]:
    """Return a table of all plain metrics.

    Its columns are the model, its interval, the strongest baseline and the champion.
    """
    baseline = strongest_baseline(verdict, metrics)
    champion = verdict["champion"]
    head = ["figure", "this model", "interval"]
    head += [baseline] if baseline else []
    head += [f"champion (version {champion['version']})"] if champion else []
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    # Those of baselines have a / in their names, ends of intervals a suffix.
    for name, value in metrics.items():
        if "/" in name or name.endswith((".low", ".high")):
            continue
        interval = _interval(metrics, name)
        ends = f"{interval[0]:.4f}–{interval[1]:.4f}" if interval else ""
        cells = [name, _format(value), ends]
        if baseline:
            cells.append(_format(metrics.get(f"{baseline}/{name}")))
        if champion:
            cells.append(_format(champion["metrics"].get(name)))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _format(value: float | None) -> str:
    if value is None:
        return "–"
    # A count has no decimals; 1.0 is most often a share that is perfect.
    return f"{value:.0f}" if value.is_integer() and abs(value) > 1 else f"{value:.4f}"
