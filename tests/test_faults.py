"""A part of `make faults`: what no other test has, a few times each."""

import fault_suite
import pytest

ALONE = [check for check in fault_suite.CHECKS if check.few and check.name in ("SIGKILL", "SIGKILL within a save", "full disk",
         "signals", "exact resume")]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("check", ALONE, ids=lambda check: check.name)
def test_a_few_of_each(check, tmp_path):
    good, total, note = check.run(tmp_path, check.few)
    assert good == total > 0, note
