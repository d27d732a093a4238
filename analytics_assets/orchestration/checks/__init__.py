"""The asset checks: which there are, and what each finds."""
