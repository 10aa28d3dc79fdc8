"""Messages on their way out: webhooks, mails, Slack. What needs a library is loaded when something is first sent."""
