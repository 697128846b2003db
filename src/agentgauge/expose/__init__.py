"""From counts to an HTTP endpoint: negotiation, rendering, the server, the apps, the discovery file."""
