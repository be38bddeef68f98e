"""Lowering for CPUs: a workgroup is a unit of work, of one lane; loops are vectorised by four."""
