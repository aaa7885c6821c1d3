"""Initializations: draw the parameters of one replica from a random generator."""
