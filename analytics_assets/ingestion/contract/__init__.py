"""The declared columns, and each row against them: in, or out with a reason."""
