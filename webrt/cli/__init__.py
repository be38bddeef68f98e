"""The webrt command."""
