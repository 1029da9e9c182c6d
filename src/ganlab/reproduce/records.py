"""What has been measured of a claim: small JSON files that are committed, so that a later session adds to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from ganlab.errors import UserError
from ganlab.files.atomic import write_whole
from ganlab.files.result import commit, now, provenance
from ganlab.reproduce.claim import Claim
from ganlab.reproduce.verdicts import Values

OWN = Path("reproduced")  # of whoever has no checkout


class Record(NamedTuple):
    """`rule` is the fingerprint of the claim as it was when it ran; `origin` where, when, and by which commit."""

    rule: str
    values: Values
    origin: dict[str, Any]


def record_file(claim_file: Path) -> Path:
    """Beside the claim; of one that was installed with ganlab in reproduced/ of the working directory, where there is one."""
    beside = claim_file.parent / "records" / f"{claim_file.stem}.json"
    own = OWN / beside.name
    return own if installed(claim_file) and own.is_file() else beside


def new_record_file(claim_file: Path) -> Path:
    """Where it is written: never into what is installed."""
    return OWN / f"{claim_file.stem}.json" if installed(claim_file) else record_file(claim_file)


def installed(claim_file: Path) -> bool:
    return claim_file.parent == Path(__file__).parents[1] / "claims"


def read_record(file: Path) -> Record | None:
    """None where there is none; raises UserError."""
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text())
        values = {arm: {int(seed): own for seed, own in seeds.items()} for arm, seeds in found["values"].items()}
        return Record(found["rule"], values, found["origin"])
    except (ValueError, KeyError, AttributeError, OSError) as error:
        raise UserError(
            f"{file} is no record of a claim ({type(error).__name__}): remove it, and run the claim again"
        ) from error


def write_record(file: Path, claim: Claim, values: Values, seconds: float) -> None:
    """`seconds` of this command, whose runs may have been trained before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    origin = {"commit": commit(), "finished": now(), "seconds": round(seconds), "versions": provenance()["versions"]}
    found = {"rule": claim.rule, "values": values, "origin": origin}
    write_whole(file, json.dumps(found, indent=1) + "\n")
