"""Schemas of choices that have a module of their own. `rnnbench.config.register` imports every module here."""
