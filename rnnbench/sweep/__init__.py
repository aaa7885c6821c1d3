"""Many runs as few batched ones: planned, run, gone on with, summed up."""
