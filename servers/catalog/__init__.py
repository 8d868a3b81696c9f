"""The software catalog: who owns what, what depends on what, what an API says, what an entity is called elsewhere."""
