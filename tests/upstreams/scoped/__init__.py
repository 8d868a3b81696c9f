"""The template's notes at a vendor whose documents say which permission each tool takes."""
