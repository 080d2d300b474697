"""Every structure in guest RAM, each declared once, in memory order; limits and addresses."""
