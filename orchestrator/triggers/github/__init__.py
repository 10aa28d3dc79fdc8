"""What happens on GitHub starts runs: signed deliveries, filters, and what a GitHub App is asked for."""
