"""A part of `make faults`: what no other test has, a few times each."""

import fault_suite
import pytest

ALONE = [check for check in fault_suite.CHECKS if check.few and check.name in ("SIGKILL", "SIGKILL within a save", "full disk",
         "signals", "exact resume")]  # fmt: skip


ELSEWHERE = ("signals", "exact resume")  # test_config.py and test_training.py have one of each


@pytest.mark.slow
@pytest.mark.parametrize(
    "check",
    [pytest.param(check, id=check.name, marks=[pytest.mark.long] * (check.name in ELSEWHERE)) for check in ALONE],
)
def test_a_few_of_each(check, tmp_path):
    good, total, note = check.run(tmp_path, check.few)
    assert good == total > 0, note
