"""The contract: the declared columns of a resource. Rows that do not match the contract go to quarantine."""
