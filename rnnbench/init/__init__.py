"""Initializations: a generator in, one replica's parameters out."""
