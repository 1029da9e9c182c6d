"""Network families: each module has a Generator (z [B, Z], y [B]) -> x [B, *S] and a Discriminator (x, y) -> logit [B]."""
