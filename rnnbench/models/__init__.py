"""Recurrent nets with a replica axis, and the sweeps through time that training needs."""
