"""Has nobody wait for the disk: tests kill processes, never the machine, and what was written outlives them."""

import os

os.fsync = lambda descriptor: None
