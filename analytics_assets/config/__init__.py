"""The models of a `defs.yaml` and the rules of `rest_api`. This package uses no network and no Dagster."""
