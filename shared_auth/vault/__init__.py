"""What people's accounts at vendors let the portal do: kept sealed, renewed once, handed to one server each."""
