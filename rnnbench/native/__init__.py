"""Native kernels of the recurrences on a CPU, compiled on the machine on which they run."""
