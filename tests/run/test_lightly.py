"""What a run begins without is there for whoever asks for it later."""

import os
import subprocess
import sys

import pytest

from ganlab.run.lightly import HIDDEN, hidden, own_parts

LATER = """
import sys
from ganlab.run.lightly import PutOff, import_lightly
import_lightly("trainer: {_target_: pytorch_lightning.Trainer}")
import ganlab.run.experiment, torch
from lightning_fabric.wrappers import OptimizedModule
from pytorch_lightning.utilities.compile import to_uncompiled
for name in ("torchvision", "torch_fidelity", "scipy.signal", "matplotlib.pyplot", "torch._inductor", "sympy"):
    assert name not in sys.modules, name
G = torch.nn.Linear(3, 2)
x = torch.ones(1, 3)
torch.optim.Adam(G.parameters(), fused=True).zero_grad()
import inspect
inspect.getmodule(G), inspect.getframeinfo(sys._getframe())
assert isinstance(sys.modules["torch._dynamo"], PutOff)
assert isinstance(sys.modules["torch._dynamo"], PutOff) and not isinstance(G, OptimizedModule)

import torch._dynamo.utils as parts
assert parts is sys.modules["torch._dynamo.utils"] is torch._dynamo.utils and parts.__spec__.origin.endswith("utils.py")
compiled = torch.compile(G, backend="eager")
assert torch.equal(compiled(x), G(x)) and torch._dynamo is sys.modules["torch._dynamo"]
assert isinstance(compiled, OptimizedModule) and not isinstance(G, OptimizedModule)
from torchvision.utils import make_grid
from matplotlib import pyplot
"""


def test_a_run_imports_no_compiler_and_finds_it_when_it_is_wanted():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", LATER], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("target", ["torchmetrics.image.fid.FrechetInceptionDistance", "mine.Score", "hydra.utils.get_class"])
def test_nothing_is_hidden_from_the_parts_of_others(target):
    config = "data: {_target_: ganlab.data.toy.ring}\nG:\n  _target_: 'torch.optim.Adam'\n"
    assert own_parts(config)
    assert not own_parts(f"{config}metrics: {{scores: {{one: {{_target_: {target}}}}}}}")
    assert not own_parts(f"{config}+metrics.scores.one._target_={target}")
    for way in ("'_target_': {}", '"_target_": {}', "_target_ : {}", "_target_:\t{}", "_target_:\n  {}", "? _target_\n: {}"):
        assert not own_parts(config + way.format(target)), way


def test_what_is_hidden_is_there_again_afterwards():
    from lightning_utilities.core import imports

    with hidden():
        assert not imports.package_available("scipy")
        assert not imports.RequirementCache("scipy>=1.8.0")
        assert imports.package_available("torch")
        assert imports.RequirementCache("torch")
    assert all(imports.package_available(name) for name in HIDDEN - {"torch_fidelity"})
    assert imports.RequirementCache("scipy>=1.8.0")
