"""ganlab: the bench on which generative adversarial networks are studied."""

__version__ = "0.1.0"
