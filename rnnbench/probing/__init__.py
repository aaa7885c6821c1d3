"""`rnnbench probe`: reads the probes on the nets that runs have saved."""
