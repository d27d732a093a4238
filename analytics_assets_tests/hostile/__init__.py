"""Hostile answers over real sockets. Each case runs in a process with a limit of memory and of time."""
