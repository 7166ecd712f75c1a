"""bench.seeds on toy data: rows that the gate judges, and a run that goes on where it stood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import toys
import yaml

from beauty_models import params
from bench import seeds

ROOT = Path(__file__).parents[1]


def toy_block() -> dict[str, Any]:
    """Return tryon's toy block with training cut to what a test needs."""
    short = {
        "pretrain": {"epochs": 0, "masked_language_model": {"epochs": 0}},
        "finetune": {"head_epochs": 1, "epochs": 1},
        "gate": {"floor": 0.0},
    }
    return params.merge(toys.blocks()["tryon"], short)


def test_every_seed_and_precision_of_a_row_varies_and_nothing_else() -> None:
    for family, block in params.read(ROOT / "params.yaml").items():
        changed = seeds.row_block(block, 41, "bfloat16")
        params.check(family, changed)
        for stage in ("ingest", "evaluate", "gate", "source"):
            assert changed[stage] == block[stage]
        before, after = (yaml.safe_dump([b["pretrain"], b["finetune"]]) for b in (block, changed))
        moved = [
            (old, new)
            for old, new in zip(before.splitlines(), after.splitlines(), strict=True)
            if old != new
        ]
        assert moved
        for old, new in moved:
            assert new.strip() in ("seed: 41", "precision: bfloat16"), (old, new)
        assert "precision: auto" not in after and "seed: 7" not in after


def test_rows_are_judged_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "params.yaml"
    settings.write_text(yaml.safe_dump({"families": {"tryon": toy_block()}}), encoding="utf-8")
    command = ["--families", "tryon", "--seeds", "3", "--precisions", "float32"]
    command += ["--folder", str(tmp_path / "seeds"), "--params", str(settings)]
    code = seeds.main(command)
    kept = json.loads((tmp_path / "seeds/rows.json").read_text(encoding="utf-8"))
    (row,) = kept.values()
    printed = capsys.readouterr().out
    assert (row["family"], row["seed"], row["precision"]) == ("tryon", 3, "float32")
    assert row["metric"] == "macro_f1" and 0 <= row["value"] <= 1
    assert f"| {row['value']:.3f} " in printed and f"{row['lead_low']:+.3f}" in printed
    assert code == (0 if row["passed"] else 1)
    marker = tmp_path / "seeds/tryon/float32-3/model/tryon.json"
    written = marker.stat().st_mtime_ns
    assert seeds.main(command) == code  # nothing is run again
    assert marker.stat().st_mtime_ns == written
    assert json.loads((tmp_path / "seeds/rows.json").read_text(encoding="utf-8")) == kept


def test_a_stage_that_fails_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    block = toy_block()
    block["ingest"] = block["ingest"] | {"min_examples": 100_000}  # no class is left
    settings = tmp_path / "params.yaml"
    settings.write_text(yaml.safe_dump({"families": {"tryon": block}}), encoding="utf-8")
    command = ["--families", "tryon", "--seeds", "1", "--precisions", "float32"]
    command += ["--folder", str(tmp_path / "seeds"), "--params", str(settings)]
    assert seeds.main(command) == 1
    assert "error: ingest of tryon failed" in capsys.readouterr().err
