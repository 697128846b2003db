"""The server: HTTP API, live page, scraping."""
