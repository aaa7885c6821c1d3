"""What runs came to, told from their records alone: a table on the terminal, and one page with figures."""
