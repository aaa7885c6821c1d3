"""Configuration: typed schema, composition, validation, and the objects that it builds.

Importing any module of this package needs no torch; `build` imports it when it is called.
"""
