"""Problem and schedule to loop IR: one module a family."""
