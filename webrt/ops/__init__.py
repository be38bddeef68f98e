"""Operators: one OpDef each, grouped by family."""
