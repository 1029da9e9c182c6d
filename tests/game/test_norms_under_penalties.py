"""Where a term wants D's slope at one example, D does not normalise over many (Gulrajani et al., 2017, section 4)."""

import pytest
import yaml
from conftest import ROOT, composed

from ganlab.files import older
from ganlab.game.terms import batch_norm
from ganlab.run.build import game_of, settings_of
from ganlab.run.pairs import doubts_of

DCGAN = ("data=cifar10", "shape=[3,16,16]", "model=dcgan", "model.G.width=4", "model.D.width=4")


def game(*choices):
    return game_of(settings_of(composed(*DCGAN, *choices, path=ROOT), list(choices)))


@pytest.mark.parametrize(("choice", "norm"), [("loss=wasserstein", ""), ("penalty=dragan", ""), ("penalty=r1", "trunk.3")])
def test_the_norm_of_a_d_whose_slope_is_wanted(choice, norm):
    gan = game(choice)
    assert batch_norm(gan.D) == norm
    assert not [doubt for doubt in doubts_of(gan)]


def test_who_asks_for_batchnorm_under_a_gradient_penalty_is_told_what_it_means():
    gan = game("loss=wasserstein", "+model.D.norm=batch")
    (doubt,) = doubts_of(gan)
    assert doubt.startswith("penalty.gradient_penalty: D has BatchNorm (trunk.3)")
    assert "+model.D.norm=layer" in doubt
    assert len(doubt) <= 200


def test_a_critic_without_a_bound_and_targets_that_are_one_are_doubted():
    for choices, told in (
        (("loss=wasserstein", "penalty=none"), "loss: nothing holds the slope"),
        (("loss=least_squares", "loss.b=0"), "loss: a = b = 0.0"),
    ):
        (doubt,) = doubts_of(game(*choices))
        assert doubt.startswith(told)
        assert len(doubt) <= 200


def test_a_run_of_before_keeps_its_batchnorm(tmp_path):
    D = {"_target_": "ganlab.networks.dcgan.Discriminator", "width": 4, "shape": [3, 16, 16]}
    slope = {"gradient_penalty": {"_target_": "ganlab.game.terms.GradientPenalty", "weight": 10.0}}
    config = {"objective": {}, "penalty": slope, "model": {"pack": 1, "G": {}, "D": D}}
    assert older.migrated(config)["model"]["D"]["norm"] == "batch"
    assert "norm" not in older.migrated({**config, "penalty": {}})["model"]["D"]
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    own = ["+model.D.norm=batch", "++model.D.channels_last=false"]
    assert older.overrides(["loss=wasserstein"], file) == ["loss=wasserstein", *own]
    new = older.migrated({**config, "model": {**config["model"], "D": {**D, "norm": "layer"}}})
    assert new["model"]["D"]["norm"] == "layer"
