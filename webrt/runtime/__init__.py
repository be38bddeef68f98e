"""Sessions, and the devices that they run on."""
