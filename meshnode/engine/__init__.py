"""What is done: drives the core against the ports. Owns every task, timeout and retry."""
