"""Configuration: the typed schema, composition, validation, and building the objects of a run.

No module of this package imports torch when it is imported; `build` does when it is called.
"""
