"""What is looked at while a net trains: gradients, state gradients, Jacobians, recurrent weights."""
