"""The one place that holds webrt's version."""

__version__ = "0.1.0"
