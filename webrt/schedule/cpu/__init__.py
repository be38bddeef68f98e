"""Schedules of wasm kernels: one file a problem family."""
