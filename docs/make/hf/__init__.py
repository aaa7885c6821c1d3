"""The tables and the figure of the pages on Hessian-free, from the records of its runs."""
