"""Train, evaluate, run and ship image-to-image networks."""

__version__ = "0.1.0"
