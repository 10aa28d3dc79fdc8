"""The wire: every body, answer, enum and error code, stated once for server and SDK."""
