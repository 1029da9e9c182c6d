"""The deterministic claims hold to their digits, by the game that everybody trains with; and what a verdict is."""

import json
import math
import os
import subprocess
import sys

import pytest
import torch
import yaml
from conftest import ROOT, composed

from ganlab.commands.measured import rescored
from ganlab.commands.reproduce import ReproduceRequest, reproduce
from ganlab.errors import Diverged, UserError
from ganlab.files.run import RunDirectory
from ganlab.report.statistics import Interval
from ganlab.reproduce.claim import RUN, Claim, Number, claims_in, read_claim
from ganlab.reproduce.measures import decades, final, plateau
from ganlab.reproduce.page import pages, shown
from ganlab.reproduce.parts import Clusters
from ganlab.reproduce.records import read_record, record_file, write_record
from ganlab.reproduce.running import _ByArm, alike, measured
from ganlab.reproduce.verdicts import Outcome, findings_of, judged, overall
from ganlab.run.build import settings_of
from ganlab.run.config import resolve, validate
from ganlab.sweep.jobs import Job

CLAIMS = claims_in(ROOT / "claims")
CHEAP = [
    ("optimistic_mirror_descent", 8, None),
    ("extragradient", 12, None),
    ("dirac_gan", 4, {"minimax", "clip", "r1", "alternating"}),
]
SMALL = {"title": "t", "source": "s", "known": "k", "minutes": 1, "seeds": 5}


@pytest.mark.parametrize(("name", "digits", "arms"), [*CHEAP, pytest.param("dirac_gan", 13, None, marks=pytest.mark.long)])
def test_a_deterministic_claim_holds_to_its_digits(name, digits, arms, run):
    claim = read_claim(CLAIMS[name])
    values = {}
    for arm, seed, overrides in claim.jobs():
        if arms is None or arm in arms:
            quiet = () if any("theory" in line for line in overrides) or name == "dirac_gan" else ("theory=none",)
            values[arm] = {seed: measured(claim, run(*overrides[1:], *quiet, name=arm))}
    findings = [finding for finding in findings_of(claim, values) if finding.n]
    assert {finding.number.of: finding.verdict for finding in findings if finding.verdict != Outcome.REPRODUCED} == {}
    assert len(findings) == digits
    assert claim.deterministic


def test_the_relativistic_pair(tmp_path):
    (one,) = read_claim(CLAIMS["relativistic_pair"]).numbers
    copy = tmp_path / "relativistic_pair.yaml"
    copy.write_text(CLAIMS["relativistic_pair"].read_text())
    reproduce(ReproduceRequest([str(copy)], runs=str(tmp_path / "runs")))
    record = read_record(record_file(copy))
    assert record.values[RUN][0]["divergence"] == pytest.approx(0.20134547158, abs=1e-10)
    assert one.within == 5e-7


def test_a_momentum_that_begins_at_zero_ends_elsewhere(run):
    """As the issue says: (3.638, 3.639)."""
    claim = read_claim(CLAIMS["optimistic_mirror_descent"])
    lines = [line for line in claim.arms["momentum"] if "buffer" not in line and "StartedSGD" not in line]
    found = measured(claim, run(*claim.setting, *lines, "theory=none"))
    assert (found["theta_0"], found["theta_1"]) == pytest.approx((3.638, 3.639), abs=5e-4)


@pytest.mark.parametrize(
    ("rule", "interval", "verdict"),
    [
        ({"within": 1.0}, (9.5, 10.5), Outcome.REPRODUCED),
        ({"within": 1.0}, (9.0, 11.0), Outcome.REPRODUCED),  # the ends are within
        ({"within": 1.0}, (10.5, 11.5), Outcome.UNTOLD),
        ({"within": 1.0}, (11.1, 12.0), Outcome.NOT),
        ({"above": 0.0}, (0.1, 2.0), Outcome.REPRODUCED),
        ({"above": 0.0}, (0.0, 0.0), Outcome.NOT),  # no difference is none
        ({"above": 0.0}, (-1.0, 1.0), Outcome.UNTOLD),
        ({"below": 0.0}, (-2.0, -1.0), Outcome.REPRODUCED),
        ({"above": 0.0, "below": 1.0}, (2.0, 3.0), Outcome.NOT),
    ],
)
def test_the_interval_against_what_is_accepted(rule, interval, verdict):
    low, high = interval
    assert judged(Number(of="x", published=10.0, **rule), Interval((low + high) / 2, low, high)) is verdict


def test_a_difference_is_of_the_seeds_that_both_arms_have():
    claim = Claim(**SMALL, arms={"a": [], "b": []}, numbers=[{"of": "b.x - a.x", "published": "more", "above": 0.0}])
    values = {"a": {s: {"x": float(s)} for s in range(6)}, "b": {s: {"x": s + 1.0 + 0.01 * s} for s in range(6)}}
    (finding,) = findings_of(claim, values)
    assert finding.interval.value == pytest.approx(1.025)
    assert (finding.n, finding.verdict) == (6, Outcome.REPRODUCED)
    values["b"][0]["x"], values["b"][1]["x"] = None, math.nan
    (finding,) = findings_of(claim, values)
    assert (finding.n, finding.interval, finding.verdict) == (4, None, Outcome.UNTOLD)  # fewer than five tell nothing


def test_one_number_that_does_not_hold_is_enough():
    claim = Claim(**SMALL, numbers=[{"of": "x", "published": 1.0, "within": 0.5}, {"of": "x", "published": 9.0, "within": 0.5}])
    values = {RUN: {s: {"x": 1.0 + 0.01 * s} for s in range(5)}}
    assert [finding.verdict for finding in findings_of(claim, values)] == [Outcome.REPRODUCED, Outcome.NOT]
    assert overall(findings_of(claim, values)) is Outcome.NOT
    assert overall([]) is Outcome.UNTOLD


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seeds": 4}, "at least 5"),
        ({"numbers": [{"of": "b.x", "published": 1.0, "within": 1.0}]}, "names no arm"),
        ({"numbers": [{"of": "x", "published": 1.0}]}, "either within, or above and below"),
        ({"numbers": [{"of": "x", "published": "more", "within": 1.0}]}, "this one is text"),
        ({"numbers": [{"of": "x - y - z", "published": 1.0, "within": 1.0}]}, "more than two terms"),
        ({"numbers": [{"of": "x", "published": "more", "above": 5, "below": 3}]}, "accepts nothing"),
        ({"rule": 1}, "rule"),
    ],
)
def test_a_claim_that_is_wrong_is_a_sentence(change, said, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({**SMALL, "numbers": [{"of": "x", "published": 1.0, "within": 1.0}], **change}))
    with pytest.raises(UserError, match=said) as error:
        read_claim(file)
    assert len(str(error.value)) <= 200 + len(str(tmp_path))


OUTSIDE = """
title: A number of one's own
source: nobody (2026), table 0
known: made up
minutes: 0.1
seeds: 5
compute: {_target_: mine.drawn, scale: 2.0}
numbers:
  - {of: mean, published: 0.0, within: 1.0}
  - {of: mean, published: 5.0, within: 1.0}
"""
MINE = """
import random
def drawn(seed, scale):
    return {"mean": random.Random(seed).uniform(-scale, scale) / 100}
"""


def test_a_claim_from_outside_is_a_small_file(tmp_path, monkeypatch, capsys):
    assert len(OUTSIDE.strip().splitlines()) + len(MINE.strip().splitlines()) < 30
    (tmp_path / "own.yaml").write_text(OUTSIDE)
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("COLUMNS", "150")
    given = ReproduceRequest([str(tmp_path / "own.yaml")], runs=str(tmp_path / "runs"))
    reproduce(given)
    told = capsys.readouterr().out
    assert "verdict    not reproduced" in told
    assert "5 of 5" in told
    assert len([*(tmp_path / "runs" / "reproduce" / "own").glob("*.json")]) == 5
    reproduce(given._replace(report=True, out=tmp_path))
    text = (tmp_path / "reproduced.md").read_text()
    assert "Does not reproduce: `own`." in text
    assert (tmp_path / "reproduced.html").read_text().count("<svg") == 2
    file = tmp_path / "own.yaml"
    file.write_text(OUTSIDE.replace("5.0, within: 1.0", "5.0, within: 9.0"))  # a rule that is changed after the result
    reproduce(given._replace(report=True, out=tmp_path))
    text = (tmp_path / "reproduced.md").read_text()
    assert "1 not run yet" in text
    assert "another setting or rule" in text


TRAINED = """
title: A trained number of one's own, and an arm that diverges
source: nobody (2026), table 0
known: made up
minutes: 0.1
seeds: 5
setting: [iterations=4, batch_size=8, theory=none, health.every=4, metrics.every=4, metrics.n=20, metrics.picture=null,
          trainer=cpu, model.G.width=4, model.D.width=4]
arms:
  calm: [optim=sgd, optim.lr=1e-3]
  wild: [optim=sgd, optim.lr=1e30]
numbers:
  - {of: calm.modes, published: 0 of 8, above: -1, below: 9}
  - {of: wild.reverse_kl, published: some, above: 0}
"""

PROGRAM = """
import sys
from ganlab.commands.main import main
if __name__ == "__main__":  # jobs are forked from a process that imports it
    sys.exit(main())
"""


@pytest.mark.long
def test_all_of_a_folder_of_claims(tmp_path):
    """The commands themselves, of a program whose claims are these: --quick, --all, --jobs, --together, --report."""
    assert len(TRAINED.strip().splitlines()) < 30
    house = tmp_path / "house"
    (house / "claims").mkdir(parents=True)
    (house / "conf").symlink_to(ROOT / "conf")
    (house / "ganlab").write_text(PROGRAM)
    (house / "claims" / "trained.yaml").write_text(TRAINED)
    (house / "claims" / "exact.yaml").write_text(CLAIMS["relativistic_pair"].read_text())
    (house / "claims" / "dear.yaml").write_text(CLAIMS["relativistic_pair"].read_text().replace("minutes: 0.1", "minutes: 99"))
    (house / "claims" / "late.yaml").write_text(CLAIMS["cifar10_small_cnn"].read_text())

    def said(*words, code=0):
        line = [sys.executable, house / "ganlab", "reproduce", *words]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "COLUMNS": "150"})
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    records = house / "claims" / "records"
    assert "waits for a GPU" in said()
    assert "--jobs 0: give the number of runs" in said("--quick", "--jobs", "0", code=2)
    assert "2 not run yet" not in said("--quick", "--jobs", "2", "--out", "docs")
    assert {file.stem for file in records.glob("*.json")} == {"exact", "trained"}  # the dear one is not quick
    values = json.loads((records / "trained.json").read_text())["values"]
    assert [each["reverse_kl"] is None for each in values["wild"].values()] == [True] * 5
    assert [0 <= each["modes"] <= 8 for each in values["calm"].values()] == [True] * 5
    page = (tmp_path / "docs" / "reproduced.md").read_text()
    assert "1 reproduced, 1 cannot be told, 1 not run yet, 1 waiting." in page
    assert "| `wild.reverse_kl` | some | – | 0 of 5 |" in page
    before = (records / "exact.json").read_bytes()
    said("--all", "--out", "docs")
    assert (records / "exact.json").read_bytes() == before  # what has a record is not run again
    assert "2 reproduced, 1 cannot be told, 1 waiting." in (tmp_path / "docs" / "reproduced.md").read_text()
    assert "10 jobs, 0 of them over already" in said("trained", "--together", "--runs", "others")
    again = json.loads((records / "trained.json").read_text())["values"]
    assert again == values  # scores that are counts: the same game
    assert "10 jobs, 10 of them over already" in said("trained", "--together", "--runs", "others")
    (records / "trained.json").unlink()
    said("--report", "--out", "docs")
    assert "2 not run yet" not in (tmp_path / "docs" / "reproduced.md").read_text()
    assert not (records / "trained.json").exists()


def test_which_arms_can_be_played_at_once(tmp_path):
    """BatchNorm's running statistics, and unrolled steps, are of one game."""
    wanted = {"landscape": {"gan", "rpgan"}, "unrolled_ring": {"none"}, "pacgan_ring": set()}
    for name, arms in wanted.items():
        jobs = [job for job in read_claim(CLAIMS[name]).jobs() if job[1] < 2]
        assert (
            alike(jobs, [settings_of(composed(*lines, f"runs={tmp_path}", path=tmp_path), lines) for _, _, lines in jobs])
            == arms
        )


def test_arms_that_cannot_be_played_at_once_are_jobs_of_their_own(tmp_path):
    jobs = [Job(f"{arm}-seed-{seed}", tmp_path, tmp_path, [f"k={arm}", f"seed={seed}"], 5) for seed in (0, 1) for arm in "123"]
    engine = _ByArm("train.py", 2, {"1", "3"})
    assert engine.n_jobs == 2
    assert [[job.name for job in group] for group in engine.groups(jobs)] == [
        ["1-seed-0", "1-seed-1"], ["3-seed-0", "3-seed-1"], ["2-seed-0"], ["2-seed-1"]]  # fmt: skip


def test_a_run_that_diverged_has_no_value_and_a_measure_that_does_not_fit_is_a_sentence(run, tmp_path):
    claim = Claim(**SMALL, numbers=[{"of": "modes", "published": 8.0, "within": 1.0}], beside=["reverse_kl", "never"])
    small = ("iterations=4", "theory=none", "metrics.every=4", "metrics.n=20", "metrics.picture=null", "optim=sgd")
    with pytest.raises(Diverged):
        run(*small, "optim.lr=1e30", name="wild")
    assert measured(claim, RunDirectory(tmp_path / "wild")) == {"modes": 0.0, "reverse_kl": None, "never": None}
    calm = run(*small, name="calm")
    assert measured(claim.model_copy(update={"beside": []}), calm)["modes"] >= 0
    with pytest.raises(UserError, match="nothing is called never"):
        measured(claim, calm)
    columns = claim.model_copy(
        update={"measure": {"_target_": "ganlab.reproduce.measures.at_iterations", "name": "modes", "at": [9]}}
    )
    with pytest.raises(UserError, match=r"measure cannot be taken of .* \(KeyError 9\)"):
        measured(columns, calm)


def test_another_protocol_that_fails_its_rule_is_told_as_such(tmp_path):
    claim = Claim(**SMALL, differs="half of it", numbers=[{"of": "x", "published": 1.0, "within": 0.5}])
    values = {RUN: {seed: {"x": 9.0 + 0.01 * seed} for seed in range(5)}}
    write_record(tmp_path / "a.json", claim, values, 1.0)
    claim = claim.model_copy(update={"afterwards": "as was seen then"})  # which leaves the record one of its rule
    one = shown("half", claim, read_record(tmp_path / "a.json"))
    assert "afterwards as was seen then" in one.told
    assert (one.verdict, one.by_its_rule) == (Outcome.DIFFERENT, Outcome.NOT)
    text, html = (file.read_text() for file in pages([one], tmp_path))
    assert "| different protocol: not reproduced |" in text
    assert "Does not reproduce: `half`." in text
    assert 'different protocol</span>: <span class="not-reproduced">' in html


def test_a_record_holds_what_was_measured(tmp_path):
    claim = Claim(**SMALL, numbers=[{"of": "x", "published": 1.0, "within": 1.0}])
    values = {RUN: {0: {"x": 1.5}, 1: {"x": None}}}
    write_record(tmp_path / "a.json", claim, values, 1.0)
    record = read_record(tmp_path / "a.json")
    assert (record.values, record.rule) == (values, claim.rule)
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(UserError, match="no record"):
        read_record(tmp_path / "a.json")


@pytest.mark.parametrize("name", CLAIMS)
def test_every_claim_is_complete_and_composes(name, tmp_path):
    claim = read_claim(CLAIMS[name])
    assert claim.deterministic or claim.seeds >= 5
    if not claim.waits and claim.compute is None:
        for overrides in {arm: lines for arm, seed, lines in claim.jobs() if seed == 0}.values():
            validate(resolve(composed(*overrides, f"runs={tmp_path}", path=tmp_path)))


def test_there_are_a_dozen_that_a_cpu_can_run():
    claims = [read_claim(file) for file in CLAIMS.values()]
    assert len([claim for claim in claims if not claim.waits]) >= 12
    assert all(claim.waits or claim.differs or claim.deterministic or claim.seeds >= 5 for claim in claims)


def test_records_are_of_claims_and_of_their_seeds():
    for file in (ROOT / "claims" / "records").glob("*.json"):
        claim, record = read_claim(CLAIMS[file.stem]), read_record(file)
        for arm, seeds in record.values.items():
            assert arm in claim.arms
            assert all(set(values) == claim.kept() for values in seeds.values())
        assert "/" not in json.dumps(record.origin).replace("://", "")  # no path of a machine


class Told:
    """A run directory with a table."""

    def __init__(self, path, rows):
        self.path, self.table_file = path, path / "metrics.csv"
        names = [*rows[0]]
        self.table_file.write_text("\n".join([",".join(names), *(",".join(map(str, row.values())) for row in rows)]) + "\n")


def test_a_plateau_is_where_a_mode_is_missing(tmp_path):
    rows = [{"iteration": t, "loss": 1.0 if t < 5 else 2.0, "modes": 1 if t < 5 else 2} for t in range(8)]
    assert plateau(Told(tmp_path, rows), "loss", "modes", 1, 5) == {"plateau": 1.0, "end": 2.0, "lost": 1.0}
    short = plateau(Told(tmp_path, rows), "loss", "modes", 1, 6)
    assert math.isnan(short["plateau"])
    assert short["lost"] == 0.0


def test_the_landscape_is_measured_of_a_run_and_a_column_that_is_not_there_is_told(run):
    """At iteration 50 G has found no cluster: that is the table's word, whose column the claim names."""
    claim = read_claim(CLAIMS["landscape"])
    setting = [line for line in claim.setting if not line.startswith("iterations=")]
    trained = run(*setting, *claim.arms["gan"], "iterations=50")
    assert measured(claim.model_copy(update={"measure": {**claim.measure, "missing": 0, "rows": 1}}), trained)["lost"] == 1.0
    wrong = claim.model_copy(update={"measure": {**claim.measure, "modes": "modes"}})
    with pytest.raises(UserError, match="measure cannot be taken"):
        measured(wrong, trained)


def test_decades(tmp_path):
    rows = [{"iteration": t, "norm": 10.0**-t} for t in range(6)]
    assert decades(Told(tmp_path, rows), "norm", 1)["fall"] == pytest.approx(5.0)


def test_clusters_are_modes_and_all_points_are_in_a_minibatch():
    data = Clusters([[0.0, 0.3], [4.0, 4.3]], 100, 0)
    x = data.minibatches(3, 2, 100, 7, slice(None)).x
    assert torch.equal(x[0], x[1])
    assert x.unique().numel() == 100
    near = data.deviations(torch.tensor([[0.15], [0.44], [0.46], [4.2]]))
    assert (near < 3).tolist() == [[True, False], [True, False], [False, False], [False, True]]


def test_samples_with_D_are_measured_of_a_run(run, capsys):
    claim = read_claim(CLAIMS["mh_gan"])
    small = ("iterations=60", "metrics.every=60", "metrics.n=300", "model.G.width=16", "model.D.width=16", "data.std=0.2")
    trained = run(*claim.setting, *small, "optim.lr=2e-3")
    capsys.readouterr()
    found = rescored(trained, {"mh": ["n=200", "sampler.K=20"], "rejection": ["n=200", "sampler.percentile=95"]})
    assert capsys.readouterr().out == ""
    assert claim.kept() <= {*found}
    at_the_end = {f"{name}_G": value for name, value in final(trained).items()}  # of the same samples
    assert {name: found[name] for name in at_the_end} == pytest.approx(at_the_end, rel=1e-6, nan_ok=True)
    assert len({found[f"jsd_{name}"] for name in ("G", "mh", "rejection")}) == 3
