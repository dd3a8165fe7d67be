"""The servers and processes of one machine: PostgreSQL and Valkey from wheels, and our own children."""
