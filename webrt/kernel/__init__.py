"""What is computed (problems), by which code (loop IR), and an interpreter to check both."""
