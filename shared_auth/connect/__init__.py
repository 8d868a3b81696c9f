"""How a person connects their account at a vendor, sees what is connected, and takes it back."""
