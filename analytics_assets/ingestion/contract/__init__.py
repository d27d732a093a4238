"""The contract: the declared columns of a resource. Matching rows are loaded, and other rows go to quarantine."""
