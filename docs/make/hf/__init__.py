"""The tables and the figure of docs/hf.md, from the records of Hessian-free runs."""
