"""The Dirac-GAN trained by the bench itself, beside its exact trajectory; and the parts that it brought: consensus, instance
noise, schedules."""

import math

import pytest
import torch
from conftest import same_state
from PIL import Image
from playing import players
from torch.testing import assert_close

from ganlab.commands.main import main
from ganlab.errors import UserError
from ganlab.files.table import read
from ganlab.game.augment import Augment, InstanceNoise
from ganlab.game.consensus import Consensus, moved
from ganlab.game.losses import Minimax, NonSaturating, Wasserstein
from ganlab.game.objectives import Adversarial
from ganlab.game.schedules import Constant, Cosine, Exponential, Ramp
from ganlab.game.terms import R1, GradientPenalty
from ganlab.game.updates import Alternating
from ganlab.observers.field import dirac_field
from ganlab.theory import dirac
from ganlab.theory.trajectory import path_of

ROWS = {  # preset: method of theory.dirac, and its norm after 500 simultaneous steps (protocols 4.3)
    "minimax": ("minimax", 3.097),
    "non_saturating": ("non_saturating", 0.640),
    "wasserstein_clip": ("wasserstein_clip_1", 1.002),
    "wasserstein_gp": ("wasserstein_gp_0.35", 1.80),
    "minimax_r1": ("minimax_r1_0.3", 2.6e-6),
    "minimax_r1_critical": ("minimax_r1_1", 9.5e-22),
    "non_saturating_r1": ("non_saturating_r1_0.3", 2.2e-6),
}
TINY = ("model.G.width=8", "model.D.width=8", "metrics=none", "theory=none")
STEPS = {"simultaneous": dirac.simultaneous, "alternating": dirac.alternating}


def exact(method, step, n):
    """theta, psi in the signs of the bench: its D(x) is psi x, the paper's is -psi x."""
    path = dirac.trajectory(step(dirac.METHODS[method], 0.2), torch.ones(2, dtype=torch.float64), n)
    return path * torch.tensor([1.0, -1.0], dtype=torch.float64)


@pytest.mark.slow
@pytest.mark.parametrize("updates", STEPS)
@pytest.mark.parametrize("preset", ROWS)
def test_the_bench_follows_the_exact_trajectory(run, preset, updates):
    """To the float32 of its weights, over 100 iterations; to three digits after 500 (below)."""
    done = run(f"experiment=dirac_{preset}", f"updates={updates}", "iterations=100")
    path = torch.tensor(path_of(read(done.table_file)), dtype=torch.float64)
    assert_close(path, exact(ROWS[preset][0], STEPS[updates], 100), atol=2e-5, rtol=0)


@pytest.mark.parametrize("preset", ROWS)
def test_the_bench_ends_where_the_table_says(run, preset):
    done = run(f"experiment=dirac_{preset}", "updates=simultaneous", "theory.every=500", "log_every=500")
    norm = done.result["final"]["theory/radius"]["value"]
    assert norm == pytest.approx(exact(ROWS[preset][0], dirac.simultaneous, 500)[-1].norm().item(), rel=1e-3)
    assert norm == pytest.approx(ROWS[preset][1], rel=0.02)  # as many digits as the table prints


def test_consensus_follows_its_exact_trajectory(run):
    done = run("experiment=dirac_minimax", "updates=consensus", "iterations=100")
    path = torch.tensor(path_of(read(done.table_file)), dtype=torch.float64)
    assert_close(path, exact("consensus_1", dirac.simultaneous, 100), atol=2e-5, rtol=0)


def test_instance_noise_converges_down_to_the_noise_of_its_minibatch(run):
    done = run("experiment=dirac_instance_noise", "iterations=300")
    assert done.result["final"]["theory/radius"]["value"] < 0.05
    assert done.result["best"]["theory/radius"]["iteration"] > 100


def test_the_non_saturating_limit_cycle_has_the_radius_sqrt_2h(run):
    done = run("experiment=dirac_non_saturating", "updates=simultaneous", "optim.lr=0.4", "iterations=400")
    radii = [math.hypot(*point) for point in path_of(read(done.table_file))[-100:]]
    assert sum(radii) / len(radii) == pytest.approx(math.sqrt(2 * 0.4), rel=0.04)


def test_the_picture_is_there_and_shows_the_whole_path(run):
    done = run("experiment=dirac_minimax", "iterations=20")
    assert {path.name for path in done.figures.iterdir()} == {"phase.png", "curves.png"}
    assert len(path_of(read(done.table_file))) == 21  # with the start


FIELDS = {
    "minimax": (Minimax(), {}),
    "non_saturating": (NonSaturating(), {}),
    "wasserstein_gp_0.35": (Wasserstein(), {"gp": GradientPenalty(0.35)}),
    "minimax_r1_1": (Minimax(), {"r1": R1(1.0)}),
}


@pytest.mark.parametrize("name", FIELDS)
def test_the_arrows_of_the_portrait_are_the_exact_field(name):
    arrows = dirac_field(*FIELDS[name], Augment(), Adversarial(), Alternating())
    for theta, psi in ((1.0, 1.0), (-0.3, 0.8), (2.0, -1.5)):
        v_theta, v_psi = dirac.METHODS[name].field(*torch.tensor([theta, -psi], dtype=torch.float64))
        assert arrows(theta, psi) == pytest.approx((v_theta.item(), -v_psi.item()), abs=1e-5)


def test_the_arrows_know_of_noise_and_of_consensus():
    theta, psi = torch.tensor([1.0, -0.7], dtype=torch.float64)
    noisy = dirac_field(Minimax(), {}, InstanceNoise(0.7), Adversarial(), Alternating())(theta.item(), -psi.item())
    v_theta, v_psi = dirac.METHODS["instance_noise_0.7"].field(theta, psi)
    assert noisy == pytest.approx((v_theta.item(), -v_psi.item()), abs=0.02)  # 4,000 draws
    pulled = dirac_field(Minimax(), {}, Augment(), Adversarial(), Consensus(1.0))(theta.item(), -psi.item())
    v_theta, v_psi = dirac.METHODS["consensus_1"].field(theta, psi)
    assert pulled == pytest.approx((v_theta.item(), -v_psi.item()), abs=1e-9)


@pytest.mark.usefixtures("drawn")
def test_phase_portraits_of_runs_side_by_side(run, tmp_path, capsys):
    run("experiment=dirac_minimax_r1", "iterations=20", name="runs/b")
    run("experiment=dirac_instance_noise", "iterations=20", name="runs/a")
    argv = ["ganlab", "phase", str(tmp_path / "runs"), "--out", str(tmp_path / "phase.png")]
    assert phase_command(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 3
    with Image.open(tmp_path / "phase.png") as picture:
        assert picture.width > 1000


def test_phase_does_not_run_foreign_code_unasked(run, tmp_path, capfd):
    done = run("experiment=dirac_minimax", "iterations=3", name="runs/a")
    foreign = f"_target_: os.mkdir\n  path: {tmp_path}/oops"
    done.config_file.write_text(done.config_file.read_text().replace("_target_: ganlab.game.losses.Minimax", foreign))
    assert phase_command(["ganlab", "phase", str(done.path), "--out", str(tmp_path / "phase.png")]) == 2
    assert "pass --trust" in capfd.readouterr().err
    assert not (tmp_path / "oops").exists()
    assert phase_command(["ganlab", "phase", str(tmp_path / "nothing")]) == 2


def phase_command(argv):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", argv)
        with pytest.raises(SystemExit) as end:
            main()
    return end.value.code or 0


# --- consensus


def test_consensus_adds_the_gradient_of_half_the_squared_norm_of_both_gradients():
    """On a game of two weights, by finite differences."""
    x, y, z = torch.zeros(3, 1, dtype=torch.float64), torch.zeros(3, dtype=torch.long), torch.zeros(3, 1)

    def gradients(theta, psi, gamma):
        theta, psi = (torch.tensor([a], dtype=torch.float64, requires_grad=True) for a in (theta, psi))
        D, G = (lambda x, y: psi * x[:, 0]), (lambda z, y: theta.expand(len(z), 1))
        play = players(G, D, terms=R1(0.4))
        *_, (on_psi, on_theta) = moved(play, x, y, z, (0, 0), [psi], [theta], gamma)
        return on_theta.item(), on_psi.item()

    def half_norm(theta, psi):
        return sum(v**2 for v in gradients(theta, psi, 0.0)) / 2

    theta, psi, h = 0.7, -0.4, 1e-6
    plain, pulled = gradients(theta, psi, 0.0), gradients(theta, psi, 3.0)
    slope_theta = (half_norm(theta + h, psi) - half_norm(theta - h, psi)) / (2 * h)
    slope_psi = (half_norm(theta, psi + h) - half_norm(theta, psi - h)) / (2 * h)
    assert pulled[0] - plain[0] == pytest.approx(3 * slope_theta, abs=1e-8)
    assert pulled[1] - plain[1] == pytest.approx(3 * slope_psi, abs=1e-8)


def test_consensus_without_its_term_is_simultaneous(run):
    small = (
        "model.G.width=8",
        "model.D.width=8",
        "metrics=none",
        "theory=none",
        "iterations=5",
        "k=2",
        "optim=sgd",
        "penalty=r1",
    )
    a = run(*small, "updates=consensus", "updates.gamma=1e-12", name="a")
    b = run(*small, "updates=simultaneous", name="b")
    left, right = (torch.load(r.newest_checkpoint(), weights_only=True)["state_dict"] for r in (a, b))
    assert len(left) > 4
    assert_close(left, right, atol=1e-6, rtol=0)


def test_consensus_needs_a_weight(run):
    with pytest.raises(ValueError, match="try updates=simultaneous"):
        Consensus(0.0)
    with pytest.raises(UserError, match="updates: consensus needs gamma > 0"):
        run("updates=consensus", "updates.gamma=0")


# --- instance noise


def test_instance_noise_has_its_standard_deviation_and_lets_gradients_through():
    torch.manual_seed(0)
    x = torch.zeros(40_000, 1, requires_grad=True)
    seen = InstanceNoise(0.7)(x)
    assert seen.std().item() == pytest.approx(0.7, rel=0.02)
    (slope,) = torch.autograd.grad(seen.sum(), x)
    assert torch.equal(slope, torch.ones_like(x))
    assert Augment()(x) is x
    with pytest.raises(ValueError, match="std > 0"):
        InstanceNoise(0.0)


def test_D_sees_the_noise_on_both_sides_and_G_is_sampled_without_it(run):
    done = run("model=dirac", "augment=instance_noise", "augment.std=5.0", "batch_size=64", "iterations=3", "loss=minimax")
    rows = read(done.table_file)
    assert abs(rows[1]["train/D_real"] - 0.5) > 1e-3  # without noise D(0) = 1/2
    assert rows[0]["theory/theta"] == 1.0


# --- schedules


def test_half_a_cosine():
    schedule = Cosine(iterations=100, floor=0.2)
    assert [schedule(t) for t in (0, 50, 100, 1000)] == pytest.approx([1.0, 0.6, 0.2, 0.2])
    assert Constant()(12345) == 1.0
    for mistake in ({"iterations": 0}, {"iterations": 5, "floor": 2.0}):
        with pytest.raises(ValueError, match=r"iterations|floor"):
            Cosine(**mistake)


def test_the_schedules_of_the_2014_code():
    """protocols 5.1.2: rate by epoch of 500 updates, its floor, and momentum by epoch counted from 1."""
    rate = Exponential(1.000004, floor=1e-5)
    for epoch, value in ((1, 0.0998002), (50, 0.090484), (100, 0.081873), (250, 0.060653), (1000, 0.013534)):
        assert 0.1 * rate(500 * epoch) == pytest.approx(value, abs=5e-7)
    assert 0.1 * rate(2_878_237) > 1e-6
    assert 0.1 * rate(2_878_238) == pytest.approx(1e-6, rel=1e-12)
    momentum = Ramp(0.5, 0.7, last=250, epoch=500)
    for epoch, value in ((1, 0.5), (2, 0.500803), (50, 0.539357), (125, 0.599598), (250, 0.7), (251, 0.7), (1000, 0.7)):
        assert momentum(500 * (epoch - 1)) == pytest.approx(value, abs=5e-7)
        assert momentum(500 * epoch - 1) == momentum(500 * (epoch - 1))
    for make in (lambda: Exponential(0.5, 0.0), lambda: Ramp(0.5, 1.0, 2, 1), lambda: Ramp(0.5, 0.7, 1, 1)):
        with pytest.raises(ValueError, match=r"decay|momentum|last"):
            make()


def test_momentum_follows_its_schedule_and_needs_an_optimizer_that_has_one(run):
    small = (*TINY, "schedule=paper", "schedule.momentum.epoch=2", "schedule.momentum.last=3", "iterations=6")
    state = torch.load(run(*small).newest_checkpoint(), weights_only=True)["optimizer_states"]
    assert [group["momentum"] for optimizer in state for group in optimizer["param_groups"]] == [0.7, 0.7]
    with pytest.raises(UserError, match="needs optimizers that have one"):
        run(*small, "optim=adam", name="adam")


def test_a_schedule_follows_a_budget_in_images(run):
    done = run(*TINY, "log_every=1", "schedule=cosine", "images=640", "batch_size=64")
    assert done.config["schedule"]["G"]["iterations"] == done.config["iterations"] == 10
    assert read(done.table_file)[-1]["train/lr_D"] == pytest.approx(1e-3 * Cosine(10)(9))


def test_rates_follow_their_schedules_and_a_resumed_run_follows_them_too(run, tmp_path):
    small = (
        "model.G.width=8",
        "model.D.width=8",
        "metrics=none",
        "theory=none",
        "log_every=1",
        "schedule=cosine_g",
        "iterations=8",
    )
    whole = run(*small, "checkpoint.every=4", name="whole")
    rows = read(whole.table_file)
    assert [row["train/lr_G"] for row in rows] == pytest.approx([1e-3 * Cosine(8)(t) for t in range(8)])
    assert {row["train/lr_D"] for row in rows} == {1e-3}
    state = torch.load(whole.newest_checkpoint(), weights_only=True)["state_dict"]
    (whole.checkpoints / "step-000000008.ckpt").unlink()
    again = run(*small, f"resume={whole.path}", name="whole")
    assert [row["train/lr_G"] for row in read(again.table_file)] == [row["train/lr_G"] for row in rows]
    resumed = torch.load(again.newest_checkpoint(), weights_only=True)["state_dict"]
    assert same_state(state, resumed)
    with pytest.raises(UserError, match=r"schedule\.G\.iterations: 8 -> 16"):
        run(*small, "iterations=16", f"resume={whole.path}", name="whole")
