"""Loop IR to code: printers that decide nothing."""
