"""Secrets do not pass, and harmless values do."""

import shlex

import pytest

from ganlab.loggers.redact import REDACTED, is_secret, redact, redact_text, redact_words


@pytest.mark.parametrize(
    "key",
    ["api_key", "apikey", "API_KEY", "apiKey", "wandb_api_key", "token", "hf_token", "accessToken", "access_tokens", "password",
     "db-password", "passwd", "secret", "client_secret", "aws_secret_access_key", "access_key", "access_key_id", "private_key",
     "credential", "credentials", "Authorization", "basic_auth", "logger.wandb.api_key", "secrets.of.mine"],
)  # fmt: skip
def test_names_of_secrets(key):
    assert is_secret(key)


@pytest.mark.parametrize(
    "key",
    ["monkey", "key", "keys", "sort_key", "tokens_per_batch", "n_tokens", "max_tokens", "tokens", "tokenizer", "token_length",
     "pad_token", "author", "secretary", "keyboard", "passes", "optim.D.betas", "apiary_keys", "seed", "_target_", "authors"],
)  # fmt: skip
def test_names_that_only_resemble_them(key):
    assert not is_secret(key)


def test_a_config_stays_nested_and_whole_but_for_its_secrets():
    config = {
        "seed": 3,
        "optim": {"D": {"lr": 2e-4, "betas": [0.5, 0.999]}},
        "data": {
            "source": "s3://me:hunter2@bucket/x",
            "token": "abc",
            "tokens_per_batch": 512,
            "headers": {"Authorization": "B x"},
        },
        "store": [{"api_key": 1234, "name": "a"}, {"api_key": None, "use_auth": True}],
        "credentials": {"user": "me", "password": "p", "more": ["q", 7]},
    }
    before = repr(config)
    assert redact(config) == {
        "seed": 3,
        "optim": {"D": {"lr": 2e-4, "betas": [0.5, 0.999]}},
        "data": {
            "source": f"s3://{REDACTED}@bucket/x",
            "token": REDACTED,
            "tokens_per_batch": 512,
            "headers": {"Authorization": REDACTED},
        },
        "store": [{"api_key": REDACTED, "name": "a"}, {"api_key": None, "use_auth": True}],
        "credentials": {"user": REDACTED, "password": REDACTED, "more": [REDACTED, REDACTED]},
    }
    assert repr(config) == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://user:pa@ss@host:80/x?y=1", f"https://{REDACTED}@host:80/x?y=1"),
        ("https://ghp_abc@github.com/a/b", f"https://{REDACTED}@github.com/a/b"),
        ("https://host/x?size=3&token=abc&y=1", f"https://host/x?size=3&token={REDACTED}&y=1"),
        ("host=db password=abc port=5", f"host=db password={REDACTED} port=5"),
        ("refused: Authorization: Bearer abcdefghij", "refused: Authorization: "),
        ("RuntimeError: token=hunter2==", f"RuntimeError: token={REDACTED}"),
        ("{token:abc,modes:8}", f"{{token:{REDACTED},modes:8}}"),
        ('{"api_key": "a b", "k": 1}', f'{{"api_key": {REDACTED}, "k": 1}}'),
        ("key ghp_0123456789abcdefghij.", f"key {REDACTED}."),
    ],
)
def test_texts(text, expected):
    assert redact_text(text).startswith(expected)
    assert not any(secret in redact_text(text) for secret in ("abcdefghij", "hunter2", "=="))
    assert redact_text(redact_text(text)) == redact_text(text)


@pytest.mark.parametrize(
    "text",
    ["runs/2026-11-23/18-44-13_ring-mlp-k1-s0", "https://host/a@b", "ssh://host/x", "a@b.c", "ganlab.data.toy.Ring",
     "loss: 0.3", "tokens_per_batch=512", "token=null", "5fd6bfa2c1a34b5d8e7f901234567890abcdef12"],
)  # fmt: skip
def test_harmless_texts_are_as_they_were(text):
    assert redact_text(text) == text


def test_a_command_line():
    words = shlex.split(
        "train.py k=2 logger.wandb.api_key=abc +data.token='a b, c' --token=x --password y -v -m seed=0,1 ++x.secret=null"
    )
    assert redact_words(words) == [
        "train.py", "k=2", f"logger.wandb.api_key={REDACTED}", f"+data.token={REDACTED}", f"--token={REDACTED}", "--password",
        REDACTED, "-v", "-m", "seed=0,1", "++x.secret=null",
    ]  # fmt: skip
    assert redact({"overrides": ["k=2", "+data.token=a b"]}) == {"overrides": ["k=2", f"+data.token={REDACTED}"]}
