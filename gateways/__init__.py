"""How the outside is reached: one folder per provider and the shared HTTP transport."""
