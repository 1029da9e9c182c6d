"""What follows from how a run ended."""

import json

import pytest

from ganlab.files.status import Status


def test_what_follows_from_a_status():
    assert {status: status.exit_code for status in Status if status.exit_code != 1} == {
        "completed": 0, "diverged": 3, "collapsed": 3, "not started": 75, "interrupted": 75, "unsaved": 5,
    }  # fmt: skip
    assert [status for status in Status if status.counts] == ["completed", "diverged", "collapsed"]
    assert [status for status in Status if status.early] == ["diverged", "collapsed"]


def test_a_status_is_what_the_file_says():
    for status in Status:
        assert Status.of(json.loads(json.dumps({"status": status}))) is status
    assert Status.of(None) is Status.of({}) is Status.UNFINISHED
    with pytest.raises(ValueError, match="'dreaming' is not a valid Status"):
        Status.of({"status": "dreaming"})
