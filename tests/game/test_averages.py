"""Averages of G: the shares against their closed forms, and post-hoc averages against ones that were computed directly."""

import math

import pytest
import torch
from conftest import runs_in
from torch.testing import assert_close

from ganlab.commands.evaluate import EvaluationRequest, evaluate
from ganlab.commands.sample import generator, sample
from ganlab.errors import UserError
from ganlab.files.run import snapshots
from ganlab.game.averages import WIDEST, Decay, HalfLife, Power, correlations, exponent_of, misfit, synthesis

SMALL = ("model.G.width=8", "model.D.width=8", "metrics.n=64", "metrics.picture=null", "theory=none", "batch_size=16")


def followed(path, share):
    """The average of the values path[t], from 0 at first."""
    average = 0.0
    for t, value in enumerate(path):
        average += share(t) * (value - average)
    return average


def test_decay_has_the_arithmetic_of_before():
    for decay, ramp in ((0.9, 10.0), (0.999, 2.0), (0.0, 10.0)):
        assert [Decay(decay, ramp).shares(t) for t in range(300)] == [
            (1 - min(decay, (1 + t) / (ramp + t)),) for t in range(300)
        ]
    assert not Decay(0.0, 10.0).on
    with pytest.raises(ValueError, match="ramp > 1"):
        Decay(0.5, 1.0)


def test_after_a_half_life_a_weight_has_halved():
    """A pulse in one iteration, seen later: 640 images are 10 iterations of 64."""
    average = HalfLife(images=640, ramp=1e9, per_iteration=64)
    pulse = [1.0, *[0.0] * 40]
    at = [followed(pulse[: 1 + n], lambda t: average.shares(t)[0]) for n in (0, 10, 20, 40)]
    assert at == pytest.approx([1.0, 1 / 2, 1 / 4, 1 / 16], rel=1e-12)  # the initial weights are gone at once
    ramped = HalfLife(images=640, ramp=0.05, per_iteration=64)
    for t in (1, 50, 199, 200, 201, 5000):  # of StyleGAN2's loop: 0.5 ** (batch / max(min(nimg, cur_nimg * rampup), 1e-8))
        assert ramped.shares(t)[0] == pytest.approx(1 - 0.5 ** (64 / min(640, 0.05 * 64 * t)), rel=1e-14)
    assert ramped.shares(0) == (1.0,)


def test_the_width_of_a_power_profile_is_its_exponents():
    """Mean and variance of (gamma + 1) t^gamma on 0..1, by quadrature; .05 and .10 are 16.97 and 6.94 in the paper."""
    assert (exponent_of(0.05), exponent_of(0.10)) == pytest.approx((16.97, 6.94), abs=5e-3)
    t = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    for std in (0.02, 0.05, 0.1, 0.2, 0.28):
        gamma = exponent_of(std)
        density = (gamma + 1) * t**gamma / 200_000
        mean = (density * t).sum()
        assert ((density * (t - mean) ** 2).sum() ** 0.5).item() == pytest.approx(std, rel=1e-6)
    for std in (0.0, WIDEST, 0.5):
        with pytest.raises(ValueError, match="relative width"):
            exponent_of(std)


def test_a_power_average_weighs_iterations_by_their_power():
    """Its recursion against sum of t^gamma in the limit: sums of powers, to the order 1/T."""
    average, T = Power([0.05, 0.1], every=10), 20_000
    for i, std in enumerate(average.stds):
        gamma = exponent_of(std)
        found = followed([math.sin(5 * t / T) for t in range(1, T + 1)], lambda t, i=i: average.shares(t)[i])
        u = (torch.arange(T, dtype=torch.float64) + 1) / T
        direct = ((gamma + 1) * u**gamma * torch.sin(5 * u)).sum() / T
        assert found == pytest.approx(direct.item(), abs=20 / T)
        assert average.shares(0)[i] == 1.0


def test_inner_products_of_profiles_by_quadrature():
    T, gamma = torch.tensor([3.0, 5.0, 5.0], dtype=torch.float64), torch.tensor([2.0, 7.0, 17.0], dtype=torch.float64)
    t = (torch.arange(400_000, dtype=torch.float64) + 0.5) * 5 / 400_000
    profiles = [(g + 1) * t**g / s ** (g + 1) * (t <= s) for s, g in zip(T, gamma, strict=True)]
    direct = torch.tensor([[(a * b).sum() * 5 / 400_000 for b in profiles] for a in profiles], dtype=torch.float64)
    assert_close(correlations(T, gamma, T, gamma), direct, rtol=2e-5, atol=0)


def walk(T, seed=0):
    """Weights [T, 5] of a G that goes somewhere and trembles, in float64."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(T, 5, generator=generator, dtype=torch.float64)
    return steps.cumsum(0) / T**0.5 + torch.randn(T, 5, generator=generator, dtype=torch.float64)


def test_any_width_is_made_afterwards_as_if_it_had_been_kept_all_along():
    T, every = 4000, 200
    path, power = walk(T), Power([0.05, 0.10], every)
    kept, wanted = (
        [torch.zeros(5).double() for _ in power.stds],
        {std: torch.zeros(5).double() for std in (0.06, 0.08, 0.12, 0.15)},
    )
    direct = {std: Power([std], every) for std in wanted}
    times, stds, snaps = [], [], []
    for t in range(T):
        kept = [a + share * (path[t] - a) for a, share in zip(kept, power.shares(t), strict=True)]
        wanted = {std: a + direct[std].shares(t)[0] * (path[t] - a) for std, a in wanted.items()}
        if (t + 1) % every == 0:
            times += [t + 1] * 2
            stds += power.stds
            snaps += kept
    for std, exact in wanted.items():
        weights = synthesis(times, stds, T, std)
        assert weights.sum().item() == pytest.approx(1.0, abs=1e-12)
        made = torch.stack([w * s for w, s in zip(weights, snaps, strict=True)]).sum(0)
        scale = (path[-1] - exact).norm()  # how far the average is from the newest weights
        assert (made - exact).norm() < 0.01 * scale, std
        assert misfit(weights, times, stds, T, std) < 0.01
    one = synthesis(times, stds, T, 0.10)  # what was kept is found again as it is
    assert_close(one, torch.eye(len(one), dtype=torch.float64)[-1], atol=1e-8, rtol=0)
    assert misfit(synthesis(times, stds, T, 0.005), times, stds, T, 0.005) > 0.2  # narrower than what was kept: told apart
    earlier = synthesis(times[:20], stds[:20], 2000, 0.08)
    assert misfit(earlier, times[:20], stds[:20], 2000, 0.08) < 0.01


@pytest.fixture(scope="module")
def powered(tmp_path_factory):
    run = runs_in(tmp_path_factory.mktemp("power"))
    given = (*SMALL, "average=power", "average.every=10", "checkpoint.every=1", "checkpoint.keep=200")
    return run(*given, "iterations=100", name="whole"), run, given


def test_a_run_keeps_snapshots_and_is_sampled_at_any_width(powered, tmp_path):
    done, *_ = powered
    assert [t for t, _ in snapshots(done.averages)] == list(range(10, 101, 10))
    state = torch.load(done.newest_checkpoint(), weights_only=True)["state_dict"]
    assert [name for name in state if name.startswith("G_others.0.")]
    checkpoints = sorted(done.checkpoints.glob("*.ckpt"))
    power, exact = Power([0.08], 1), None
    for t, path in enumerate(checkpoints):  # G after each iteration, averaged directly in float64
        net = torch.load(path, weights_only=True)["state_dict"]
        net = torch.cat([value.double().flatten() for name, value in net.items() if name.startswith("G.")])
        exact = net if exact is None else exact + power.shares(t)[0] * (net - exact)
    G, _ = generator(done.config, done.newest_checkpoint(), ema_std=0.08)
    made = torch.cat([p.double().flatten() for p in G.state_dict().values()])
    assert (made - exact).norm() < 0.02 * (net - exact).norm()
    for std, net in ((0.05, "G_ema"), (0.10, "G_others.0")):
        G, _ = generator(done.config, done.newest_checkpoint(), ema_std=std)
        for name, value in G.state_dict().items():
            assert_close(value, state[f"{net}.{name}"], atol=1e-6, rtol=1e-5)
    out = sample(done, 8, 0, None, None, False, ema_std=0.08)
    assert out.name == "step-000000100-seed0-std0.08"
    assert (out / "samples.csv").read_text() != (sample(done, 8, 0, None, tmp_path, False) / "samples.csv").read_text()


def test_scores_of_another_width_say_so(powered):
    done, *_ = powered
    import json

    (file,) = evaluate([done.path], EvaluationRequest(ema_std=0.08))
    assert json.loads(file.read_text())["cards"]["modes"]["weights"] == "EMA of width 0.08"
    assert done.result["cards"]["modes"]["weights"] == "EMA"
    with pytest.raises(UserError, match="give one of them"):
        evaluate([done.path], EvaluationRequest(ema_std=0.08, raw=True))
    with pytest.raises(UserError, match=r"--ema-std: the relative width of an average lies in 0\.\.0\.289, got 0\.5"):
        sample(done, 8, 0, None, None, False, ema_std=0.5)


def test_a_resumed_run_keeps_the_averages_and_the_snapshots_of_an_uninterrupted_one(powered):
    done, run, given = powered
    run(*given, "iterations=95", name="parts")  # an extra snapshot at its end
    for path in sorted((done.path.parent / "parts" / "checkpoints").glob("*.ckpt"))[-12:]:
        path.unlink()  # as if it had been killed at 83
    parts = run(*given, "iterations=100", f"resume={done.path.parent}/parts", name="parts")
    a, b = (torch.load(r.newest_checkpoint(), weights_only=True)["state_dict"] for r in (done, parts))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert [t for t, _ in snapshots(parts.averages)] == [t for t, _ in snapshots(done.averages)]
    for (_, one), (_, other) in zip(snapshots(done.averages), snapshots(parts.averages), strict=True):
        left, right = (torch.load(path, weights_only=True)["weights"] for path in (one, other))
        assert all(torch.equal(x[name], y[name]) for x, y in zip(left, right, strict=True) for name in x)


def test_a_branch_is_sampled_at_any_width_as_the_run_would_be(powered):
    done, run, given = powered
    branch = run(*given, "iterations=100", f"resume={done.checkpoints}/step-000000083.ckpt", name="branch")
    assert [t for t, _ in snapshots(branch.averages)] == [t for t, _ in snapshots(done.averages)]
    one, other = (generator(of.config, of.newest_checkpoint(), ema_std=0.08)[0].state_dict() for of in (done, branch))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_other_averages_need_no_snapshots_and_say_so(tmp_path):
    run = runs_in(tmp_path)
    done = run(*SMALL, "average=half_life", "average.images=100", "iterations=6", name="half")
    assert done.result["cards"]["modes"]["weights"] == "EMA"
    assert not done.averages.exists()
    state = torch.load(done.newest_checkpoint(), weights_only=True)["state_dict"]
    assert not torch.equal(state["G.net.0.weight"], state["G_ema.net.0.weight"])
    with pytest.raises(UserError, match="--ema-std needs a run with average=power"):
        sample(done, 8, 0, None, None, False, ema_std=0.08)
    with pytest.raises(UserError, match="average: a half-life needs images > 0"):
        run(*SMALL, "average=half_life", "average.images=0", name="wrong")
