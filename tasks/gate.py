"""The gate: may this candidate become champion? Every figure and every criterion goes into the verdict."""

from __future__ import annotations

from typing import Any

from beauty_models.params import Gate

Metrics = dict[str, float]


def judge(
    gate: Gate, metrics: Metrics, champion: Metrics | None, champion_version: int | None
) -> dict[str, Any]:
    """Hold ``metrics`` against floor, baselines and champion.

    A candidate passes when its metric reaches the floor, its lead over every baseline stays above 0 at the lower end of the
    paired bootstrap interval (``BASELINE/METRIC.margin_low``), and its metric is not below the champion's on the same split by
    more than the tolerance. NaN passes nothing.

    Returns:
        ``passed``, ``metric``, ``value``, ``champion`` (version and metrics, or None) and ``criteria``: name, value, bound, passed.

    Raises:
        ValueError: the metric is not among the figures.
    """
    name = gate.metric
    if name not in metrics:
        raise ValueError(
            f"params.yaml: gate.metric {name!r} is none of evaluate's figures: {', '.join(sorted(m for m in metrics if '/' not in m))}"
        )
    value = metrics[name]
    criteria = [_criterion(f"{name} reaches the floor", value, ">=", gate.floor)]
    ending = f"/{name}.margin_low"
    leads = {
        key.removesuffix(ending): lead
        for key, lead in sorted(metrics.items())
        if key.endswith(ending)
    }
    criteria += [
        _criterion(f"lead over {baseline}, lower bound", lead, ">", 0.0)
        for baseline, lead in leads.items()
    ]
    if not leads:
        criteria.append(
            {
                "name": "beats a baseline (evaluate measured none)",
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
                value,
                ">=",
                champion[name] - gate.tolerance,
            )
        )
    return {
        "passed": all(criterion["passed"] for criterion in criteria),
        "metric": name,
        "value": value,
        "champion": None
        if champion is None
        else {"version": champion_version, "metrics": champion},
        "criteria": criteria,
    }


def _criterion(name: str, value: float, sign: str, bound: float) -> dict[str, Any]:
    passed = value >= bound if sign == ">=" else value > bound
    return {"name": name, "value": value, "bound": f"{sign} {bound:.4f}", "passed": passed}


def markdown(family: str, verdict: dict[str, Any], metrics: Metrics, warnings: list[str]) -> str:
    """Return the verdict as Markdown: outcome, warnings, criteria, and the figures beside champion's and baselines'."""
    outcome = (
        "**Passed**: it becomes champion."
        if verdict["passed"]
        else "**Not passed**: it is kept as challenger."
    )
    lines = [
        f"## {family}: the gate",
        "",
        outcome,
        "",
        *(f"> ⚠ {warning}\n" for warning in warnings),
    ]
    lines += ["| criterion | value | bound | |", "|---|---:|---:|---|"]
    lines += [
        f"| {c['name']} | {_figure(c['value'])} | {c['bound'] or '–'} | {'✓' if c['passed'] else '✗'} |"
        for c in verdict["criteria"]
    ]
    if verdict["champion"] is None:
        lines += ["", "There was no champion to compare with."]
    return "\n".join([*lines, "", *_table(metrics, verdict["champion"])]) + "\n"


def columns(metrics: Metrics, champion: dict[str, Any] | None) -> dict[str, Metrics]:
    """Return column → metric → figure: the model, the champion when there is one, each baseline."""
    plain = {
        name: value
        for name, value in metrics.items()
        if "/" not in name and not name.endswith((".low", ".high"))
    }
    shown = {"model": plain} | (
        {f"champion (version {champion['version']})": champion["metrics"]} if champion else {}
    )
    for name in sorted(name for name in metrics if "/" in name and ".margin" not in name):
        baseline, _, metric = name.partition("/")
        shown.setdefault(baseline, {})[metric] = metrics[name]
    return shown


def _table(metrics: Metrics, champion: dict[str, Any] | None) -> list[str]:
    shown = columns(metrics, champion)
    head = [f"| metric | {' | '.join(shown)} |", f"|---|{'---:|' * len(shown)}"]
    return head + [
        f"| {name} | {' | '.join(_figure(column.get(name)) for column in shown.values())} |"
        for name in shown["model"]
    ]


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if value.is_integer() and abs(value) > 1 else f"{value:.4f}"
