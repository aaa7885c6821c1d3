"""Laws that every task, model, initialization, optimizer and probe must satisfy, for `rnnbench check` and the tests."""
