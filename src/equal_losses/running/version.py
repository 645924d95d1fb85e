"""The version of the library. Neutral, because a release by itself computes nothing anew."""

__version__ = "0.2.0"
