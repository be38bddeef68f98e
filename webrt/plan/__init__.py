"""What a pack executes: tensors, ports, steps, and where tensors live in memory."""
