"""The portal's tables and their migrations, on SQLite or PostgreSQL."""
