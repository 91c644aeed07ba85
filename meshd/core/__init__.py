"""What everything above may import: records, mailboxes, redaction."""
