"""One module a device; none imports another."""
