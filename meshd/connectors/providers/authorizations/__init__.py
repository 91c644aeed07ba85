"""What authorizes requests to a provider, by `auth.method`."""
