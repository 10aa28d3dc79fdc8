"""A module per page: what it finds out, and after which events anew."""
