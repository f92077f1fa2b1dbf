"""Tools of every room, without torch."""
