"""Entries and leases in a PostgreSQL, and the way to one. Needs pg8000."""
