"""What is done: the attempt pipeline, confirm and upkeep."""
