"""Nets as torch.nn.Module: trained nets to take away, and what works on any module."""
