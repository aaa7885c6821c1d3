"""What the dynamics of a net do to a small change: arithmetic on given matrices, batched over leading axes."""
