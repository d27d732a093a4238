"""The tests of `make newest`, which needs `dg`. It is not in the lock, because it brings 24 packages."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("dagster_dg_cli") else ["test_*.py"]
