"""Tuning: find, on the device at hand, the best schedule of each problem, while it serves."""
