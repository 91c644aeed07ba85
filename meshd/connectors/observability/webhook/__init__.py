"""`modelmesh.webhook.v1`: signed batches, posted to an address, kept on disk until they are delivered."""
