"""What real APIs do to a sync, one case each: the rows in the table, the check that says so, or the error."""
