"""What columns and scores are called, and their units where they have one (docs/runs.md, scores.md, theory.md)."""

from __future__ import annotations

AXES = {
    "iterations": "iterations (k steps of D, one of G)",
    "d_steps": "steps of D",
    "images": "real images that D has seen",
    "seconds": "seconds of training",
}

AMOUNTS = {"iterations": "iterations", "d_steps": "D steps", "images": "images", "seconds": "seconds"}  # N of an axis

EVALUATED = "evaluated/"  # before the name of a score that `ganlab evaluate` found

# what a comparison is about, unless another is asked for: the first that there is, otherwise the first score of the runs
MAIN = ("evaluated/fid", "fid", "theory/ema_jsd", "theory/jsd", "reverse_kl", "class_kl", "binned_jsd", "kid",
        "sliced_wasserstein", "theory/radius")  # fmt: skip

UNITS = {
    **dict.fromkeys(("reverse_kl", "mode_jsd", "class_kl", "kl", "log_likelihood", "binned_jsd", "parzen"), "nats"),
    **dict.fromkeys(("sliced_wasserstein", "wasserstein", "theory/w1", "theory/sliced_w1"), "units of x"),
    **dict.fromkeys(("theory/inverse_cdf_error", "theory/radius"), "units of x"),
    **dict.fromkeys(("theory/jsd", "theory/C", "theory/identity_error", "theory/kl", "theory/reverse_kl"), "nats"),
    **dict.fromkeys(("theory/floor", "theory/V", "train/V", "health/V"), "nats"),
    **dict.fromkeys(("high_quality", "precision", "recall", "coverage", "theory/total_variation", "theory/monotone"), "share"),
    **dict.fromkeys(("component_accuracy", "class_accuracy"), "share"),
    **dict.fromkeys(("health/accuracy", "health/accuracy_held_out", "theory/uncovered"), "share"),
    **dict.fromkeys(("train/D_real", "train/D_fake", "theory/D_error"), "probability"),
    **dict.fromkeys(("modes", "classes"), "count"),
}  # fmt: skip

WORDS = {
    "fid": "FID",
    "kid": "KID",
    "class_fid": "FID within classes",
    "mmd": "MMD",
    "inception_score": "Inception score",
    "reverse_kl": "reverse KL",
    "mode_jsd": "JSD of modes",
    "class_kl": "class KL",
    "kl": "KL",
    "binned_jsd": "binned JSD",
    "high_quality": "high quality",
    "log_likelihood": "log-likelihood",
    "parzen": "Parzen log-likelihood",
}

SPOKEN = {
    "theory/ema_jsd": "JSD of the average of G",
    "theory/jsd": "JSD of G",
    "theory/radius": "distance from the equilibrium",
}


def bare(name: str) -> str:
    """A column of metrics.csv by the name that its score has in result.json."""
    return name.removeprefix("eval/")


def column(score: str) -> str:
    """The column of metrics.csv that is a score's curve while it trained."""
    return score if "/" in score else f"eval/{score}"


def unit(name: str) -> str:
    """Empty where there is none, or none is known."""
    return UNITS.get(bare(name).removeprefix(EVALUATED).replace("theory/ema_", "theory/"), "")


def label(name: str) -> str:
    name = bare(name)
    if name.startswith(EVALUATED):
        return f"{label(name.removeprefix(EVALUATED))}, evaluated"
    return WORDS.get(name, name if "/" in name else name.replace("_", " "))


def spoken(name: str) -> str:
    """As a sentence has it, where a table has the name of the column."""
    return SPOKEN.get(name) or label(name)


def titled(name: str) -> str:
    return f"{label(name)} [{unit(name)}]" if unit(name) else label(name)


def headings(budget: object | None) -> dict[str, str]:
    """Of the columns of a table of scores, by the kind of value."""
    if budget is None:
        return {"last": "last", "best": "best", "mean": "mean over training"}
    return {"last": f"at {budget}", "best": "best up to there", "mean": "mean up to there"}
