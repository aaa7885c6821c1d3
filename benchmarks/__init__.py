"""What compares rnnbench with other packages, other commits or other chips; README.md has the commands."""
