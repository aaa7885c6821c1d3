"""Makes pages of the documentation from the code and from records: python -m docs.make."""
