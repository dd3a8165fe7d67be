"""What is known of carriers and their numbers, as pure functions."""
