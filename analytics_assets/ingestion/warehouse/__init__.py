"""The warehouse: who may use it when, how a load gets in, and what is in it."""
