"""The contract: the declared columns of a resource. A row that matches it is loaded; another goes to quarantine."""
