"""Reports on runs, made from their records only: tables on the terminal, and one page with figures."""
