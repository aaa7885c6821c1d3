"""`rnnbench probe`: what the probes say of the nets that runs have saved."""
