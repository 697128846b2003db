"""Programs with many processes, as users have them, driven by ``test_processes.py``."""
