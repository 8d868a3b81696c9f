"""What a principal may do, in Cedar; deny by default."""
