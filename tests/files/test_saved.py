"""Files that may come from anyone: what has no bottom is damaged, and no crash."""

import pytest
import yaml

from ganlab.errors import UserError
from ganlab.files.run import RunDirectory
from ganlab.files.saved import DEEPEST, json_of, loaded, read_plain

DEEP = "[" * 100_000


def test_text_that_is_nested_without_end_is_damaged():
    with pytest.raises(yaml.YAMLError, match="collections within one another"):
        loaded(DEEP)
    with pytest.raises(ValueError, match="collections within one another"):
        json_of(DEEP)


def test_as_deep_as_it_may_be():
    text = "[" * DEEPEST + "]" * DEEPEST
    assert loaded(text) == json_of(text)
    with pytest.raises(yaml.YAMLError):
        loaded(f"[{text}]")


def test_files_of_a_run_without_a_bottom(tmp_path):
    run = RunDirectory(tmp_path)
    for file in (run.config_file, run.data_file, run.result_file):
        file.write_text(DEEP)
    assert run.data == {}
    with pytest.raises(UserError, match=r"config.yaml is damaged: line 1: more than 100 collections"):
        run.config  # noqa: B018
    with pytest.raises(UserError, match=r"result.json is damaged"):
        run.result  # noqa: B018


@pytest.mark.parametrize(("text", "told"), [
    ("k: 1\nseed: 2\nk: 3\n", "line 3: the key k is there twice"),
    ("? [1, 2]\n: 3\n", "line 1: the key [1, 2] is no single value"),
    ("k: 1\n? {a: 1}\n: 3\n", "line 2: the key {'a': 1} is no single value"),
])  # fmt: skip
def test_a_key_that_cannot_be_is_told_with_its_line(tmp_path, text, told):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        read_plain(tmp_path / "config.yaml")
    assert str(caught.value).endswith(f"is damaged: {told}")
