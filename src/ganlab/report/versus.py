"""What `--versus KEY=VALUE` and `--reference SETTING` mean among settings."""

from __future__ import annotations

from collections.abc import Sequence

from ganlab.errors import UserError, did_you_mean
from ganlab.report.groups import Setting, joined
from ganlab.report.read import Notes


def counterparts(settings: Sequence[Setting], versus: str, notes: Notes) -> list[tuple[str, str]]:
    """`versus` is KEY=VALUE: names of each setting's counterpart, the same but for KEY having VALUE, and of the setting."""
    key, _, value = versus.partition("=")
    found, without = [], []
    for setting in settings:
        wanted = {**setting.parts, key: value}
        if setting.parts == wanted:
            continue
        other = [each.name for each in settings if each.parts == wanted]
        found += [(other[0], setting.name)] if len(other) == 1 else []
        without += [] if len(other) == 1 else [setting.name]
    if without:
        notes.add(f"not tested, as no setting is the same with {versus}", *without)
    return found


def told_apart(settings: Sequence[Setting], versus: str) -> dict[str, tuple[str, str]]:
    """The names of the settings in two parts: KEY with its value, and the rest without the data."""
    key = versus.partition("=")[0]
    return {
        s.name: (f"{key}={s.parts.get(key, '')}", joined({k: v for k, v in s.parts.items() if k not in (key, "data")}))
        for s in settings
    }


def refuse_unknown(reference: str | None, versus: str | None, settings: Sequence[Setting]) -> None:
    if reference is not None and versus is not None:
        raise UserError(f"--reference {reference} and --versus {versus}: each says what settings are tested against, use one")
    names = [*dict.fromkeys(setting.name for setting in settings)]
    if reference is not None and reference not in names:
        raise UserError(f"--reference {reference!r} is not one of the settings{did_you_mean(reference, names)}")
    if versus is not None:
        key, _, value = versus.partition("=")
        keys = [*dict.fromkeys(k for setting in settings for k in setting.parts if k and k != "data")]
        if key not in keys:
            told = "data sets are not tested against each other" if key == "data" else "the settings do not differ in it"
            raise UserError(f"--versus {versus}: it is KEY=VALUE, and {key!r} is no KEY: {told}{did_you_mean(key, keys)}")
        values = [*dict.fromkeys(setting.parts[key] for setting in settings if key in setting.parts)]
        if value not in values:
            raise UserError(f"--versus {versus}: no setting has that{did_you_mean(value, values)}")
