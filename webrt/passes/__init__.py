"""Graph to graph, and graph to plan: one pass a file, in the order of pipeline.py."""
