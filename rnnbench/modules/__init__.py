"""What works on any torch.nn.Module."""
