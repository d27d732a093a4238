"""dlt and HTTP: from one config to rows in the warehouse. Never imports Dagster (a lint holds that)."""
