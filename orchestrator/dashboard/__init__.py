"""The pages of the server: drawn here, live by the feed, of use without any script; all they know is asked of the API."""
