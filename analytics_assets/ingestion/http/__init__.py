"""The API over HTTP: one request of dlt becomes many pages, each read strictly."""
