"""`modelmesh.syslog.v1`: messages in the form of RFC 5424."""
