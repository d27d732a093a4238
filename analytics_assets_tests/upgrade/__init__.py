"""What users of an earlier release have on disk, and the tests that upgrade it."""
